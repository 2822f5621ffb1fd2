"""The secrets that the manifests name, as files FOLDER/SECRET/KEY. What is there is never made anew.

    of the centre            keys
    federation-authority     authority.pem              whom cells and the centre's own programs believe the SuperLink
    superlink-tls            tls.crt, tls.key           the SuperLink's certificate, signed by that authority
    superexec-secret         superexec.secret           what the superexec shows the SuperLink
    signing-key              signing-key.pem, .pub      signs checkpoints
    trusted-publishers       publisher.pub              its public half, which cells pin
    admitted-nodes           NAME.pub                   the public keys of the cells that are let in, and add up

    of a cell
    node-key                 node-key                   by which the SuperLink knows the cell, and other cells its masks
    pinned-nodes             NAME.pub                   the public keys of all cells, its own among them
    store-keys               store.keys                 seal what is kept of people
    redis-access             password, users.acl        the cell's password, and Redis's users
    redis-tls                ca.crt, tls.crt, tls.key   where Redis speaks TLS
    api-keys                 api-keys.toml              hashes of the server's API keys

`federation-authority-key`, `redis-authority-key`, `first-api-key` and `node-public-key` lie beside them and are in no
manifest: the first two sign further certificates, the third is the API key itself, the fourth is for the centre.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from feature_store.durable import create, replace
from feature_store.encryption import own_keys
from feature_store.signing import SigningKey
from hearth.federation.certificates import ensure_authority, ensure_certificate, ensure_node_key, ensure_secret
from serving.access.keys import ApiKey, hash_of, new_secret
from serving.access.new_key import with_key

KEPT_APART = frozenset({"federation-authority-key", "redis-authority-key", "first-api-key", "node-public-key"})
"""What no manifest mounts; it stays with whoever made it."""

# docs/redis.md says what each is for. `probe` may ask whether the server answers.
REDIS_USERS = (
    "user default off\n"
    "user probe on nopass resetkeys resetchannels nocommands +ping\n"
    "user cell on #{password} resetkeys resetchannels ~hearth:* nocommands +@connection +evalsha +eval +hget +hmget "
    "+hset +hdel +hsetnx +hkeys +exists +persist +pexpire +get +set +del +scan +info +bgrewriteaof +bgsave +config|get "
    "+hexists +hlen +hvals +hgetall +hincrby +expire +sadd +smembers +time +zadd +zrem +zcard +zrange +zrevrange "
    "+zrangebyscore +zremrangebyscore +zpopmin\n"
)


def make_centre(folder: Path, hosts: Sequence[str]) -> None:
    """The secrets of a centre.

    hosts: names by which the SuperLink is dialled, beside the loopback.
    """
    authority = folder / "federation-authority" / "authority.pem"
    authority_key = folder / "federation-authority-key" / "authority.key"
    tls, signing = folder / "superlink-tls", _made(folder / "signing-key") / "signing-key.pem"
    authority_key.parent.mkdir(parents=True, exist_ok=True)
    ensure_authority(authority, authority_key)
    ensure_certificate(tls / "tls.crt", tls / "tls.key", authority, authority_key, hosts)
    ensure_secret(_made(folder / "superexec-secret") / "superexec.secret")
    public = SigningKey.load_or_create(signing).public
    # Beside it as well: commands put it there where it is not, and a mounted secret cannot be written to.
    for file in (signing.with_suffix(".pub"), _made(folder / "trusted-publishers") / "publisher.pub"):
        replace(file, public.pem())


def name_nodes(folder: Path, secret: str, keys: Mapping[str, bytes]) -> None:
    """Say in a secret, `admitted-nodes` or `pinned-nodes`, which cells there are, by their public keys."""
    for name, content in keys.items():
        replace(_made(folder / secret) / f"{name}.pub", content)


def make_cell(folder: Path, suffix: str = "") -> bytes:
    """The secrets of a cell; the public key of its node, which the centre is to let in.

    suffix: behind the name of each secret, where several cells share a namespace.
    """
    public = _made(folder / f"node-public-key{suffix}") / "node-key.pub"
    node = ensure_node_key(_made(folder / f"node-key{suffix}") / "node-key", public)
    own_keys(folder / f"store-keys{suffix}" / "store.keys")
    access = _made(folder / f"redis-access{suffix}")
    ensure_secret(access / "password")
    digest = hashlib.sha256((access / "password").read_bytes().strip()).hexdigest()
    replace(access / "users.acl", REDIS_USERS.replace("{password}", digest).encode(), mode=0o600)
    _ensure_api_key(folder / f"api-keys{suffix}" / "api-keys.toml", folder / f"first-api-key{suffix}" / "key")
    return node


def make_redis_tls(folder: Path, hosts: Sequence[str]) -> None:
    """The certificate of a cell's Redis, by an authority of the cell's own."""
    tls, authority_key = folder / "redis-tls", folder / "redis-authority-key" / "ca.key"
    authority_key.parent.mkdir(parents=True, exist_ok=True)
    ensure_authority(tls / "ca.crt", authority_key)
    ensure_certificate(tls / "tls.crt", tls / "tls.key", tls / "ca.crt", authority_key, hosts)


def make_pod_keys(folder: Path) -> None:
    """A certificate for the loopback of one pod, and a secret of its programs."""
    authority, authority_key = folder / "authority.pem", folder / "authority.key"
    ensure_authority(authority, authority_key)
    ensure_certificate(folder / "node.pem", folder / "node.key", authority, authority_key)
    ensure_secret(folder / "superexec.secret")


def service_names(service: str, namespace: str) -> tuple[str, ...]:
    """By which names a service is reached within a cluster."""
    return (service, f"{service}.{namespace}", f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.cluster.local")


def write_kustomization(folder: Path, namespace: str) -> tuple[str, ...]:
    """Let `kubectl apply -k FOLDER` make these secrets in that namespace; their names."""
    names = sorted(found.name for found in folder.iterdir() if found.is_dir() and not _is_kept_apart(found.name))
    lines = ["# Secrets of Hearth: keep this folder to yourself. Made by `hearth kubernetes`."]
    lines += ["apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization", f"namespace: {namespace}"]
    lines += ["generatorOptions: {disableNameSuffixHash: true}", "secretGenerator:"]
    for name in names:
        lines += [f"  - name: {name}", "    files:"]
        lines += [f"      - {name}/{file.name}" for file in sorted((folder / name).iterdir())]
        if (folder / name / "tls.crt").exists():
            lines.append("    type: kubernetes.io/tls")
    replace(folder / "kustomization.yaml", "\n".join([*lines, ""]).encode())
    return tuple(names)


def _is_kept_apart(name: str) -> bool:
    return any(name == kept or name.startswith(f"{kept}-") for kept in KEPT_APART)


def _ensure_api_key(hashes: Path, key: Path) -> None:
    """One API key that may do everything, so that the first request can be sent; its hash in the server's file."""
    if not key.exists():
        create(_made(key.parent) / key.name, new_secret().encode(), mode=0o600)
    if not hashes.exists():
        first = ApiKey(hash=hash_of(key.read_text()), scopes=frozenset({"recommend", "ingest", "admin", "metrics"}))
        create(_made(hashes.parent) / hashes.name, with_key(hashes, b"", "first", first), mode=0o600)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
