"""`make k8s-check`: what can be known of the manifests, the Dockerfiles and the alerts without a cluster."""
