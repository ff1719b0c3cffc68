"""Every call that kmskit uses, by Google's own client; every signature, by `cryptography`.

The endpoint is the first argument. Fails with an AssertionError or an exception, else prints `good`.
"""

import base64
import gzip
import hashlib
import secrets
import sys
from urllib.parse import urlsplit

import google_crc32c
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import kms_v1 as kms
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceRestTransport
from google.protobuf import duration_pb2, field_mask_pb2

Algorithm = kms.CryptoKeyVersion.CryptoKeyVersionAlgorithm
State = kms.CryptoKeyVersion.CryptoKeyVersionState
Level = kms.ProtectionLevel
SIGN, DECRYPT = kms.CryptoKey.CryptoKeyPurpose.ASYMMETRIC_SIGN, kms.CryptoKey.CryptoKeyPurpose.ASYMMETRIC_DECRYPT

transport = KeyManagementServiceRestTransport(
    host=urlsplit(sys.argv[1]).netloc, url_scheme="http", credentials=AnonymousCredentials()
)
client = kms.KeyManagementServiceClient(transport=transport)
location = "projects/judged/locations/europe-west3"
ring = f"{location}/keyRings/judged"
message = b"the message"
HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}


def crc(octets):
    return int.from_bytes(google_crc32c.Checksum(octets).digest(), "big")


def status(error):
    """Of those that HTTP has one status for."""
    return error.response.json()["error"]["status"]


def refused(expected, call, **arguments):
    try:
        call(**arguments)
    except exceptions.GoogleAPICallError as error:
        assert status(error) == expected, f"{expected} expected, not {error!r}"
        return error
    raise AssertionError(f"{expected} expected, but it was done: {arguments}")


def make(name, algorithm, purpose=SIGN, level=Level.SOFTWARE, skip=False, **key):
    template = {"algorithm": algorithm, "protection_level": level}
    request = {
        "parent": ring,
        "crypto_key_id": name,
        "crypto_key": {"purpose": purpose, "version_template": template, **key},
        "skip_initial_version_creation": skip,
    }
    made = client.create_crypto_key(request=request)
    assert made.name == f"{ring}/cryptoKeys/{name}" and made.purpose == purpose
    assert made.version_template.algorithm == algorithm and made.version_template.protection_level == level
    return made


def public_key(version, post_quantum=False):
    """As soon as it is generated."""
    format_ = kms.PublicKey.PublicKeyFormat.NIST_PQC if post_quantum else 0
    for _ in range(5):
        try:
            answer = client.get_public_key(request={"name": version, "public_key_format": format_})
            break
        except exceptions.BadRequest as error:
            assert status(error) == "FAILED_PRECONDITION" and "PENDING" in str(error), error
    assert answer.name == version
    if post_quantum:
        assert answer.public_key.crc32c_checksum == crc(answer.public_key.data)
        sizes = {1312: mldsa.MLDSA44PublicKey, 1952: mldsa.MLDSA65PublicKey, 2592: mldsa.MLDSA87PublicKey}
        return sizes[len(answer.public_key.data)].from_public_bytes(answer.public_key.data)
    assert answer.pem_crc32c == crc(answer.pem.encode())
    return serialization.load_pem_public_key(answer.pem.encode())


def sign(version, digest=None, data=None):
    """With all checksums both ways."""
    request = {"name": version}
    if digest:
        request |= {"digest": digest, "digest_crc32c": crc(next(iter(digest.values())))}
    else:
        request |= {"data": data, "data_crc32c": crc(data)}
    answer = client.asymmetric_sign(request=request)
    assert answer.name == version and answer.signature_crc32c == crc(answer.signature)
    assert answer.verified_digest_crc32c == bool(digest) and answer.verified_data_crc32c == (not digest)
    return answer.signature


def signing():
    for name, algorithm in Algorithm.__members__.items():
        if not name.startswith(("EC_SIGN", "RSA_SIGN", "PQ_SIGN_ML")):
            continue
        level = Level.HSM if "SECP256K1" in name else Level.SOFTWARE
        post_quantum = "PQ_" in name
        key_id = name.lower()
        version = f"{make(key_id, algorithm, level=level).name}/cryptoKeyVersions/1"
        public = public_key(version, post_quantum)
        hash_name = name.rsplit("_", 1)[1].lower()
        hash_ = HASHES.get(hash_name)
        digest = hash_ and {hash_name: hashlib.new(hash_name, message).digest()}
        if name.startswith("EC_SIGN") and hash_:
            for signature in (sign(version, digest), sign(version, data=message)):
                public.verify(signature, message, ec.ECDSA(hash_))
        elif "PSS" in name:
            pss = padding.PSS(padding.MGF1(hash_), hash_.digest_size)
            public.verify(sign(version, digest), digest[hash_name], pss, Prehashed(hash_))
        elif "RAW" in name:
            prefix = bytes.fromhex("3031300d060960864801650304020105000420")
            raw = prefix + hashlib.sha256(message).digest()
            public.verify(sign(version, data=raw), message, padding.PKCS1v15(), hashes.SHA256())
        elif "PKCS1" in name:
            public.verify(sign(version, digest), message, padding.PKCS1v15(), hash_)
        elif "EXTERNAL_MU" in name:
            raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            tr = hashlib.shake_256(raw).digest(64)
            mu = hashlib.shake_256(tr + b"\0\0" + message).digest(64)
            public.verify(sign(version, {"external_mu": mu}), message)
            refused("INVALID_ARGUMENT", client.asymmetric_sign, request={"name": version, "data": message})
        else:
            public.verify(sign(version, data=message), message)
            refused(
                "INVALID_ARGUMENT",
                client.asymmetric_sign,
                request={"name": version, "digest": {"sha256": bytes(32)}},
            )
        print(name, file=sys.stderr)


def what_is_refused():
    version = f"{ring}/cryptoKeys/ec_sign_p256_sha256/cryptoKeyVersions/1"
    sha256 = {"sha256": bytes(32)}
    good = {"name": version, "digest": sha256}
    wrong = [
        good | {"digest_crc32c": 7},
        {"name": version, "digest": {"sha384": bytes(48)}},
        {"name": version, "digest": {"sha256": bytes(31)}},
        good | {"data": message},
        {"name": version},
        {"name": version, "data": bytes(65_537)},
    ]
    for request in wrong:
        refused("INVALID_ARGUMENT", client.asymmetric_sign, request=request)
    unchecked = client.asymmetric_sign(request=good)
    assert not unchecked.verified_digest_crc32c, "there was no checksum to verify"
    refused("NOT_FOUND", client.asymmetric_sign, request=good | {"name": f"{version}1"})
    refused("NOT_FOUND", client.get_crypto_key, name=f"{ring}/cryptoKeys/nowhere")
    refused("NOT_FOUND", client.list_crypto_keys, parent=f"{location}/keyRings/nowhere")
    refused("ALREADY_EXISTS", client.create_key_ring, request={"parent": location, "key_ring_id": "judged"})
    refused("ALREADY_EXISTS", make, name="ec_sign_p256_sha256", algorithm=Algorithm.EC_SIGN_P256_SHA256)
    for key_id in ("", "a b", "a/b", "x" * 64):
        refused(
            "INVALID_ARGUMENT",
            client.create_key_ring,
            request={"parent": location, "key_ring_id": key_id},
        )
    p256 = Algorithm.EC_SIGN_P256_SHA256
    for name, arguments in {
        "upper": {"algorithm": p256, "labels": {"A": "b"}},
        "soon": {"algorithm": p256, "destroy_scheduled_duration": duration_pb2.Duration(seconds=3600)},
        "only": {"algorithm": p256, "import_only": True},
        "purpose": {"algorithm": p256, "purpose": DECRYPT},
        "software": {"algorithm": Algorithm.EC_SIGN_SECP256K1_SHA256},
        "outside": {"algorithm": p256, "level": Level.EXTERNAL},
    }.items():
        refused("INVALID_ARGUMENT", make, name=name, **arguments)


def states():
    day = duration_pb2.Duration(seconds=86_400)
    key = make("states", Algorithm.EC_SIGN_P256_SHA256, labels={"a": "b"}, destroy_scheduled_duration=day).name
    version = f"{key}/cryptoKeyVersions/1"
    assert client.get_crypto_key_version(name=version).state == State.PENDING_GENERATION
    digest = {"sha256": bytes(32)}

    def usable(expected):
        if expected:
            return sign(version, digest)
        error = refused("FAILED_PRECONDITION", sign, version=version, digest=digest)
        assert "is not enabled, current state is: " in str(error), error

    def switch(state):
        mask = field_mask_pb2.FieldMask(paths=["state"])
        wanted = {"name": version, "state": state}
        done = client.update_crypto_key_version(request={"crypto_key_version": wanted, "update_mask": mask})
        assert done.state == state

    public_key(version)
    usable(True)
    switch(State.DISABLED)
    usable(False)
    switch(State.ENABLED)
    usable(True)
    destroyed = client.destroy_crypto_key_version(name=version)
    assert destroyed.state == State.DESTROY_SCHEDULED
    left = (destroyed.destroy_time - destroyed.create_time).total_seconds()
    assert 86_400 <= left < 86_500, left
    usable(False)
    refused("FAILED_PRECONDITION", switch, state=State.ENABLED)
    refused("FAILED_PRECONDITION", client.destroy_crypto_key_version, name=version)
    assert client.restore_crypto_key_version(name=version).state == State.DISABLED
    switch(State.ENABLED)
    usable(True)
    second = client.create_crypto_key_version(request={"parent": key, "crypto_key_version": {}})
    assert second.name == f"{key}/cryptoKeyVersions/2"
    assert [found.name for found in client.list_crypto_key_versions(parent=key)] == [version, second.name]
    labels = {"crypto_key": {"name": key, "labels": {"c": "d"}}, "update_mask": {"paths": ["labels"]}}
    assert client.update_crypto_key(request=labels).labels == {"c": "d"}


def lists():
    everything = {found.name for found in client.list_crypto_keys(parent=ring)}
    pages = list(client.list_crypto_keys(request={"parent": ring, "page_size": 3}).pages)
    assert len(pages) > 5 and all(len(page.crypto_keys) <= 3 for page in pages)
    assert {found.name for page in pages for found in page.crypto_keys} == everything
    assert all(page.total_size == len(everything) for page in pages)
    assert ring in {found.name for found in client.list_key_rings(parent=location)}
    refused("INVALID_ARGUMENT", client.list_crypto_keys, request={"parent": ring, "page_token": "?"})
    assert client.get_key_ring(name=ring).name == ring


def decryption():
    for name, hash_ in {
        "RSA_DECRYPT_OAEP_2048_SHA1": hashes.SHA1(),
        "RSA_DECRYPT_OAEP_2048_SHA256": hashes.SHA256(),
        "RSA_DECRYPT_OAEP_4096_SHA512": hashes.SHA512(),
    }.items():
        version = f"{make(name.lower(), Algorithm[name], DECRYPT).name}/cryptoKeyVersions/1"
        block = public_key(version).encrypt(message, padding.OAEP(padding.MGF1(hash_), hash_, None))
        request = {"name": version, "ciphertext": block, "ciphertext_crc32c": crc(block)}
        answer = client.asymmetric_decrypt(request=request)
        assert answer.plaintext == message and answer.plaintext_crc32c == crc(message)
        assert answer.verified_ciphertext_crc32c
        refused("INVALID_ARGUMENT", client.asymmetric_decrypt, request=request | {"ciphertext_crc32c": 1})
        damaged = {"name": version, "ciphertext": bytes([block[0] ^ 1]) + block[1:]}
        refused("INVALID_ARGUMENT", client.asymmetric_decrypt, request=damaged)
        refused("FAILED_PRECONDITION", sign, version=version, digest={"sha256": bytes(32)})


def imports():
    at_once = duration_pb2.Duration(seconds=0)
    arguments = {"import_only": True, "destroy_scheduled_duration": at_once}
    key = make("imported", Algorithm.EC_SIGN_P384_SHA384, skip=True, **arguments).name
    refused(
        "FAILED_PRECONDITION",
        client.create_crypto_key_version,
        request={"parent": key, "crypto_key_version": {}},
    )
    private = ec.generate_private_key(ec.SECP384R1())
    der = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    Method = kms.ImportJob.ImportMethod
    for number, (method, hash_) in enumerate([
        (Method.RSA_OAEP_3072_SHA1_AES_256, hashes.SHA1()),
        (Method.RSA_OAEP_4096_SHA256_AES_256, hashes.SHA256()),
        (Method.RSA_OAEP_3072_SHA256, hashes.SHA256()),
    ], start=1):
        wanted = {"import_method": method, "protection_level": Level.SOFTWARE}
        request = {"parent": ring, "import_job_id": f"job-{number}", "import_job": wanted}
        job = client.create_import_job(request=request)
        while job.state == kms.ImportJob.ImportJobState.PENDING_GENERATION:
            job = client.get_import_job(name=job.name)
        wrapping = serialization.load_pem_public_key(job.public_key.pem.encode())
        oaep = padding.OAEP(padding.MGF1(hash_), hash_, None)
        if method.name.endswith("AES_256"):
            secret = secrets.token_bytes(32)
            wrapped = wrapping.encrypt(secret, oaep) + aes_key_wrap_with_padding(secret, private.private_bytes(*der))
        else:
            # A key that is too long for the block; this says so.
            wrapped = wrapping.encrypt(b"no private key", oaep)
        arguments = {"parent": key, "algorithm": Algorithm.EC_SIGN_P384_SHA384, "import_job": job.name}
        version = client.import_crypto_key_version(request=arguments | {"wrapped_key": wrapped})
        assert version.name == f"{key}/cryptoKeyVersions/{number}" and version.import_job == job.name
        if method.name.endswith("AES_256"):
            assert public_key(version.name) == private.public_key()
            sign(version.name, {"sha384": bytes(48)})
        else:
            assert version.state == State.IMPORT_FAILED and version.import_failure_reason
            refused("FAILED_PRECONDITION", client.get_public_key, name=version.name)
    assert len(list(client.list_import_jobs(parent=ring))) == 3
    # Destroyed when its time is over, which for such a key may be at once; then for ever.
    first = f"{key}/cryptoKeyVersions/1"
    gone = client.destroy_crypto_key_version(name=first)
    assert gone.state == State.DESTROYED and gone.destroy_event_time, gone
    refused("FAILED_PRECONDITION", client.restore_crypto_key_version, name=first)
    refused("FAILED_PRECONDITION", client.get_public_key, name=first)
    assert next(iter(client.list_crypto_key_versions(parent=key))).state == State.DESTROYED


def attestation():
    version = f"{ring}/cryptoKeys/ec_sign_secp256k1_sha256/cryptoKeyVersions/1"
    found = client.get_crypto_key_version(name=version).attestation
    statement = gzip.decompress(found.content)
    point = public_key(version).public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    assert point in statement[:-256]
    certificate = x509.load_pem_x509_certificate(found.cert_chains.google_partition_certs[0].encode())
    certificate.public_key().verify(statement[-256:], statement[:-256], padding.PKCS1v15(), hashes.SHA256())
    software = f"{ring}/cryptoKeys/ec_sign_p256_sha256/cryptoKeyVersions/1"
    assert not client.get_crypto_key_version(name=software).attestation.content
    key = software.rsplit("/", 2)[0]
    assert [found.name for found in client.list_crypto_key_versions(request={"parent": key, "view": 1})] == [software]


def others():
    symmetric = make("symmetric", Algorithm.GOOGLE_SYMMETRIC_ENCRYPTION, kms.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT)
    assert symmetric.primary.name.endswith("/cryptoKeyVersions/1")
    version = f"{symmetric.name}/cryptoKeyVersions/1"
    refused("INVALID_ARGUMENT", client.get_public_key, name=version)
    refused("FAILED_PRECONDITION", sign, version=version, digest={"sha256": bytes(32)})
    external = make("external", Algorithm.EC_SIGN_P256_SHA256, level=Level.EXTERNAL, skip=True).name
    options = {"external_protection_level_options": {"external_key_uri": "https://ekm.example/key"}}
    made = client.create_crypto_key_version(request={"parent": external, "crypto_key_version": options})
    public = public_key(made.name)
    public.verify(sign(made.name, data=message), message, ec.ECDSA(hashes.SHA256()))
    refused(
        "INVALID_ARGUMENT",
        client.asymmetric_sign,
        request={"name": made.name, "digest": {"sha256": bytes(32)}},
    )


assert client.create_key_ring(request={"parent": location, "key_ring_id": "judged"}).name == ring
signing()
what_is_refused()
states()
decryption()
imports()
attestation()
others()
lists()
print("good")
