"""The secrets of centres and cells: what programs read they are, they stay what they are, and they fit each other."""

import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped, unused-ignore] # has no types
from cryptography import x509

from feature_store.encryption import keys_from_file
from feature_store.signing import PublicKey, SigningKey
from hearth.federation.control import in_pem
from hearth.kubernetes.secrets import (
    KEPT_APART,
    make_cell,
    make_centre,
    make_pod_keys,
    make_redis_tls,
    name_nodes,
    service_names,
    write_kustomization,
)
from hearth.trust import own_key
from serving.access.keys import caller_with, parse_keys

KUBECTL = Path(sys.executable).with_name("kubectl")


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_what_is_there_is_never_made_anew(tmp_path: Path) -> None:
    for _ in range(2):
        make_centre(tmp_path, ["superlink"])
        make_cell(tmp_path, "-shop")
        make_redis_tls(tmp_path, ["redis"])
        make_pod_keys(tmp_path / "pod")
        write_kustomization(tmp_path, "here")
        made = files_in(tmp_path)
    make_centre(tmp_path, ["another"])
    make_cell(tmp_path, "-shop")
    assert files_in(tmp_path) == made


def test_whatever_must_not_be_known_is_for_its_owner_alone(tmp_path: Path) -> None:
    make_centre(tmp_path, ["superlink"])
    make_cell(tmp_path)
    make_redis_tls(tmp_path, ["redis"])
    public = {"authority.pem", "tls.crt", "ca.crt", "publisher.pub", "signing-key.pub", "node-key.pub"}
    files = [file for file in tmp_path.rglob("*") if file.is_file() and file.name not in public]
    assert len(files) == 12
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_the_superlinks_certificate_is_for_the_names_by_which_it_is_dialled(tmp_path: Path) -> None:
    make_centre(tmp_path, [*service_names("superlink", "centre"), "192.0.2.7"])
    certificate = x509.load_pem_x509_certificate((tmp_path / "superlink-tls" / "tls.crt").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    dns = set(names.get_values_for_type(x509.DNSName))
    assert {"superlink", "superlink.centre", "superlink.centre.svc", "superlink.centre.svc.cluster.local"} < dns
    assert {"127.0.0.1", "192.0.2.7"} < {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    authority = x509.load_pem_x509_certificate((tmp_path / "federation-authority" / "authority.pem").read_bytes())
    certificate.verify_directly_issued_by(authority)


def test_a_cells_redis_has_an_authority_of_the_cells_own(tmp_path: Path) -> None:
    make_centre(tmp_path, ["superlink"])
    make_redis_tls(tmp_path, ["redis"])
    certificate = x509.load_pem_x509_certificate((tmp_path / "redis-tls" / "tls.crt").read_bytes())
    certificate.verify_directly_issued_by(
        x509.load_pem_x509_certificate((tmp_path / "redis-tls" / "ca.crt").read_bytes())
    )
    assert (tmp_path / "redis-tls" / "ca.crt").read_bytes() != (
        tmp_path / "federation-authority" / "authority.pem"
    ).read_bytes()


def test_cells_pin_the_public_half_of_the_key_that_signs(tmp_path: Path) -> None:
    make_centre(tmp_path, [])
    signing = SigningKey.load(tmp_path / "signing-key" / "signing-key.pem")
    for file in ("trusted-publishers/publisher.pub", "signing-key/signing-key.pub"):
        assert PublicKey.load(tmp_path / file).key_id == signing.public.key_id


def test_a_command_that_signs_writes_nothing_beside_a_mounted_key(tmp_path: Path) -> None:
    make_centre(tmp_path, [])
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "signing-key").iterdir()}
    own_key(tmp_path / "signing-key" / "signing-key.pem")
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "signing-key").iterdir()} == before


def test_the_first_api_key_of_a_cell_is_the_one_that_its_server_knows_and_may_do_everything(tmp_path: Path) -> None:
    make_cell(tmp_path)
    file = tmp_path / "api-keys" / "api-keys.toml"
    caller = caller_with((tmp_path / "first-api-key" / "key").read_text(), parse_keys(file, file.read_bytes()))
    assert caller is not None
    assert caller.key.scopes == {"recommend", "ingest", "admin", "metrics"}
    assert caller.key.tenant is None


def test_two_cells_share_no_key(tmp_path: Path) -> None:
    nodes = [make_cell(tmp_path, ending) for ending in ("-one", "-two")]
    assert nodes[0] != nodes[1]
    for name in ("node-key/node-key", "store-keys/store.keys", "redis-access/password", "first-api-key/key"):
        folder, _, file = name.partition("/")
        assert (tmp_path / f"{folder}-one" / file).read_bytes() != (tmp_path / f"{folder}-two" / file).read_bytes()
    assert keys_from_file(tmp_path / "store-keys-one" / "store.keys") is not None


def test_the_centre_is_told_the_public_half_of_a_cells_key_by_the_cells_name(tmp_path: Path) -> None:
    public = make_cell(tmp_path / "cell")
    name_nodes(tmp_path / "centre", "admitted-nodes", {"shop": public})
    told = (tmp_path / "centre" / "admitted-nodes" / "shop.pub").read_bytes()
    assert in_pem(told) == in_pem((tmp_path / "cell" / "node-public-key" / "node-key.pub").read_bytes())


def test_a_pods_programs_trust_its_certificate_for_the_loopback(tmp_path: Path) -> None:
    make_pod_keys(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "node.pem", tmp_path / "node.key")
    incoming, outgoing = (ssl.MemoryBIO() for _ in range(2))
    there = server.wrap_bio(incoming, outgoing, server_side=True)
    client = ssl.create_default_context(cafile=tmp_path / "authority.pem")
    here = client.wrap_bio(outgoing, incoming, server_hostname="127.0.0.1")
    for _ in range(4):
        for side in (here, there):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert here.version() == there.version() == "TLSv1.3"


@pytest.mark.parametrize("kind", ["centre", "cell"])
def test_kubectl_makes_every_secret_of_the_folder_but_those_that_stay_there(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "made"
    if kind == "centre":
        make_centre(folder, [])
        name_nodes(folder, "admitted-nodes", {"shop": make_cell(tmp_path / "shop")})
    else:
        make_cell(folder)
        make_redis_tls(folder, ["redis"])
    told = write_kustomization(folder, "here")
    text = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, check=True).stdout
    secrets = {each["metadata"]["name"]: each for each in yaml.safe_load_all(text)}
    folders = {each.name for each in folder.iterdir() if each.is_dir()}
    assert secrets.keys() == set(told) == folders - KEPT_APART
    assert folders & KEPT_APART
    for name, secret in secrets.items():
        assert secret["metadata"]["namespace"] == "here"
        assert secret["data"].keys() == {file.name for file in (folder / name).iterdir()}
        assert secret["type"] == ("kubernetes.io/tls" if name.endswith("-tls") else "Opaque")
