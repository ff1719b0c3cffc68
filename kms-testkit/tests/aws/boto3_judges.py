"""Every operation that kmskit uses, by boto3; every signature, by `cryptography`.

The variables of the server are in the environment. Fails with an AssertionError or an exception, else prints `good`.
"""

import hashlib
import secrets

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

kms = boto3.client("kms", config=Config(retries={"total_max_attempts": 1}))

HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
RSA = [f"RSASSA_{scheme}_SHA_{size}" for scheme in ("PKCS1_V1_5", "PSS") for size in HASHES]
ALGORITHMS = {
    "ECC_NIST_P256": ["ECDSA_SHA_256"],
    "ECC_NIST_P384": ["ECDSA_SHA_384"],
    "ECC_NIST_P521": ["ECDSA_SHA_512"],
    "ECC_SECG_P256K1": ["ECDSA_SHA_256"],
    "ECC_NIST_EDWARDS25519": ["ED25519_SHA_512"],
    "RSA_2048": RSA,
    "RSA_3072": RSA[:1],
    "RSA_4096": RSA[-1:],
    "ML_DSA_44": ["ML_DSA_SHAKE_256"],
    "ML_DSA_65": ["ML_DSA_SHAKE_256"],
    "ML_DSA_87": ["ML_DSA_SHAKE_256"],
}


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, f"{code} expected, not {error}"
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 500)
        return error
    raise AssertionError(f"{code} expected, but it was done: {arguments}")


def verify(public, algorithm, signature, message, digest):
    """By a library that is not ours; `digest` where the service was given one."""
    size = algorithm.rsplit("_", 1)[1]
    data, hash_ = (digest, Prehashed(HASHES[size])) if digest else (message, HASHES.get(size))
    if algorithm.startswith("ECDSA"):
        public.verify(signature, data, ec.ECDSA(hash_))
    elif algorithm.startswith("RSASSA_PKCS1"):
        public.verify(signature, data, padding.PKCS1v15(), hash_)
    elif algorithm.startswith("RSASSA_PSS"):
        salt = HASHES[size].digest_size
        public.verify(signature, data, padding.PSS(padding.MGF1(HASHES[size]), salt), hash_)
    else:
        public.verify(signature, message)


def rejects(*arguments):
    try:
        verify(*arguments)
    except InvalidSignature:
        return
    raise AssertionError("a signature over something else verifies: the judge is asleep")


def sign_everything():
    for spec, algorithms in ALGORITHMS.items():
        made = kms.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY", Description=spec, Tags=[{"TagKey": "a", "TagValue": "b"}])
        metadata = made["KeyMetadata"]
        assert metadata["KeySpec"] == spec and metadata["KeyState"] == "Enabled" and metadata["Enabled"] is True
        assert metadata["Arn"].endswith(":key/" + metadata["KeyId"]) and metadata["Origin"] == "AWS_KMS"
        arn = metadata["Arn"]
        read = kms.get_public_key(KeyId=metadata["KeyId"])
        assert read["KeyId"] == arn and read["KeySpec"] == spec and read["KeyUsage"] == "SIGN_VERIFY"
        assert set(algorithms) <= set(read["SigningAlgorithms"]), read
        public = serialization.load_der_public_key(read["PublicKey"])
        for algorithm in algorithms:
            for message in (b"message", secrets.token_bytes(4096)):
                forms = [("RAW", message, None)]
                if algorithm.startswith(("ECDSA", "RSASSA")):
                    digest = hashlib.new("sha" + algorithm.rsplit("_", 1)[1], message).digest()
                    forms.append(("DIGEST", digest, digest))
                if spec.startswith("ML_DSA"):
                    raw = read["PublicKey"][-{"44": 1312, "65": 1952, "87": 2592}[spec[-2:]]:]
                    tr = hashlib.shake_256(raw).digest(64)
                    forms.append(("EXTERNAL_MU", hashlib.shake_256(tr + b"\0\0" + message).digest(64), None))
                for kind, sent, digest in forms:
                    request = {"KeyId": arn, "Message": sent, "MessageType": kind, "SigningAlgorithm": algorithm}
                    answer = kms.sign(**request)
                    assert answer["KeyId"] == arn and answer["SigningAlgorithm"] == algorithm
                    verify(public, algorithm, answer["Signature"], message, digest)
                    rejects(public, algorithm, answer["Signature"], message + b"!", digest and bytes(len(digest)))
                    valid = kms.verify(Signature=answer["Signature"], **request)
                    assert valid["SignatureValid"] is True and valid["KeyId"] == arn
                    request["Message"] = bytes(len(sent))
                    refused("KMSInvalidSignatureException", kms.verify, Signature=answer["Signature"], **request)
        wrong = "RSASSA_PSS_SHA_256" if spec.startswith("ECC") else "ECDSA_SHA_256"
        refused("InvalidKeyUsageException", kms.sign, KeyId=arn, Message=b"m", SigningAlgorithm=wrong)
        refused("ValidationException", kms.sign, KeyId=arn, Message=b"m" * 4097, SigningAlgorithm=algorithms[0])
        if algorithms[0].startswith(("ECDSA", "RSASSA")):
            refused("ValidationException", kms.sign, KeyId=arn, Message=b"m", MessageType="DIGEST", SigningAlgorithm=algorithms[0])


def states():
    key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    sign = {"KeyId": key, "Message": b"m", "SigningAlgorithm": "ECDSA_SHA_256"}
    kms.disable_key(KeyId=key)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
    refused("DisabledException", kms.sign, **sign)
    kms.enable_key(KeyId=key)
    kms.sign(**sign)
    scheduled = kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert scheduled["KeyState"] == "PendingDeletion" and scheduled["PendingWindowInDays"] == 7
    refused("KMSInvalidStateException", kms.sign, **sign)
    refused("KMSInvalidStateException", kms.schedule_key_deletion, KeyId=key, PendingWindowInDays=7)
    kms.cancel_key_deletion(KeyId=key)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
    refused("ValidationException", kms.schedule_key_deletion, KeyId=key, PendingWindowInDays=6)
    refused("NotFoundException", kms.get_public_key, KeyId="1234abcd-12ab-34cd-56ef-1234567890ab")
    refused("NotFoundException", kms.get_public_key, KeyId="alias/absent")


def names_and_pages():
    key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    kms.create_alias(AliasName="alias/Ca/one", TargetKeyId=key)
    refused("AlreadyExistsException", kms.create_alias, AliasName="alias/Ca/one", TargetKeyId=key)
    refused("NotFoundException", kms.get_public_key, KeyId="alias/ca/one")
    assert kms.get_public_key(KeyId="alias/Ca/one")["KeyId"] == key
    assert kms.get_public_key(KeyId=key.rsplit(":", 1)[0] + ":alias/Ca/one")["KeyId"] == key
    aliases = [alias for page in kms.get_paginator("list_aliases").paginate() for alias in page["Aliases"]]
    assert any(alias["AliasName"] == "alias/Ca/one" for alias in aliases)
    kms.tag_resource(KeyId=key, Tags=[{"TagKey": "purpose", "TagValue": "ca"}])
    assert {"TagKey": "purpose", "TagValue": "ca"} in kms.list_resource_tags(KeyId=key)["Tags"]
    kms.delete_alias(AliasName="alias/Ca/one")
    refused("NotFoundException", kms.get_public_key, KeyId="alias/Ca/one")
    listed = [entry["KeyId"] for page in kms.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 3}) for entry in page["Keys"]]
    assert len(listed) == len(set(listed)) > 3 and key.rsplit("/", 1)[1] in listed


def decryption():
    made = kms.create_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]
    public = serialization.load_der_public_key(kms.get_public_key(KeyId=made["KeyId"])["PublicKey"])
    for name, hash_ in (("RSAES_OAEP_SHA_1", hashes.SHA1()), ("RSAES_OAEP_SHA_256", hashes.SHA256())):
        ciphertext = public.encrypt(b"secret", padding.OAEP(padding.MGF1(hash_), hash_, None))
        answer = kms.decrypt(KeyId=made["KeyId"], CiphertextBlob=ciphertext, EncryptionAlgorithm=name)
        assert answer["Plaintext"] == b"secret" and answer["EncryptionAlgorithm"] == name
    refused("InvalidCiphertextException", kms.decrypt, KeyId=made["KeyId"], CiphertextBlob=bytes(256), EncryptionAlgorithm="RSAES_OAEP_SHA_256")


def importing():
    made = kms.create_key(KeySpec="ECC_NIST_P384", KeyUsage="SIGN_VERIFY", Origin="EXTERNAL")["KeyMetadata"]
    assert made["KeyState"] == "PendingImport"
    asked = kms.get_parameters_for_import(KeyId=made["KeyId"], WrappingAlgorithm="RSA_AES_KEY_WRAP_SHA_256", WrappingKeySpec="RSA_4096")
    wrapping = serialization.load_der_public_key(asked["PublicKey"])
    private = ec.generate_private_key(ec.SECP384R1())
    pkcs8 = private.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key = secrets.token_bytes(32)
    wrapped = wrapping.encrypt(key, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
    kms.import_key_material(
        KeyId=made["KeyId"],
        ImportToken=asked["ImportToken"],
        EncryptedKeyMaterial=wrapped + aes_key_wrap_with_padding(key, pkcs8),
        ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
    )
    answer = kms.sign(KeyId=made["KeyId"], Message=b"m", SigningAlgorithm="ECDSA_SHA_384")
    verify(private.public_key(), "ECDSA_SHA_384", answer["Signature"], b"m", None)


def strangers():
    stranger = boto3.client("kms", aws_access_key_id="AKIASTRANGER00000000", aws_secret_access_key="x", config=Config(retries={"total_max_attempts": 1}))
    refused("UnrecognizedClientException", stranger.list_keys)
    import os

    liar = boto3.client("kms", aws_secret_access_key="wrong", aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"], config=Config(retries={"total_max_attempts": 1}))
    refused("InvalidSignatureException", liar.list_keys)


for step in (sign_everything, states, names_and_pages, decryption, importing, strangers):
    step()
print("good")
