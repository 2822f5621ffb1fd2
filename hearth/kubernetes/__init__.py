"""What the manifests of k8s/ need that they cannot hold: keys and secrets, in a folder or in the cluster."""
