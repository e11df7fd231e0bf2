"""The files of a data set at an address: names, sizes, and how each can be verified, without fetching any signal.

`openneuro:ds002718` and `nemar:nm000132` are names for addresses; the others are `s3://bucket/prefix`, `https://...`
(an index page per folder) and `hf://datasets/owner/name`. Lists are anonymous and complete: of a bucket with versions
every file has its version id, of the hub its commit, of others its ETag or date.
"""

from __future__ import annotations

import dataclasses
import hashlib
import html
import json
import os
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from eegprep.errors import InputError, RefusedError, UsageError
from eegprep.files import parse_sum
from eegprep.remote import transport
from eegprep.remote.transport import again, check_address, file_system, options_of

OPENNEURO = "s3://openneuro.org"
NEMAR = "https://data.nemar.org"
_ID = re.compile(r"(openneuro|nemar):([a-z]{2}\d{6})(?:@(v?[0-9A-Za-z.\-]{1,40}))?")
_WORD = re.compile(r"(s3|https?|hf):/{1,2}|(openneuro|nemar):")
#: Folders of a BIDS data set without recordings of their own; index pages below them are not read.
_ELSEWHERE = ("derivatives/", "sourcedata/", "code/", "stimuli/")
_MAX_FILES = 2_000_000
_MAX_JSON_BYTES = 1 << 30
_MAX_SUMS_BYTES = 256 << 20
_MD5 = re.compile(r"[0-9a-f]{32}")
_SUMS = ("SHA256SUMS.txt", "SHA256SUMS")
_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class ListedFile:
    """One file at the address.

    Attributes
    ----------
    path : str
        Relative to the data set, with `/`.
    n_bytes : int or None
        None if the server does not say.
    etag : str
        The server's ETag or, without one, the date of the last change.
    version : str
        Version id in the bucket, commit of the hub, or release.
    digest : str
        A hash of the bytes, `md5:`, `sha256:` or `git:` (of a git blob) and hexadecimal digits; empty if there is none.
    url : str
        The file's own address, if it is not the data set's address and `path`.
    """

    path: str
    n_bytes: int | None = None
    etag: str = ""
    version: str = ""
    digest: str = ""
    url: str = ""

    @property
    def identity(self) -> str:
        """Changes if the bytes may have changed; equal uploads of equal bytes are equal."""
        told = self.digest or self.etag or self.version
        return hashlib.sha256(f"{self.path} {self.n_bytes} {told}".encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Listing:
    """All files of a data set at one time.

    `options` are those of fsspec's file system that worked (never credentials).
    """

    address: str
    files: tuple[ListedFile, ...]
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    release: str = ""

    def to_json(self) -> str:
        """The listing as text; equal listings give equal text."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, ensure_ascii=True)

    @classmethod
    def from_json(cls, text: str) -> Listing:
        """The inverse of `to_json`."""
        plain = json.loads(text)
        return cls(**{**plain, "files": tuple(ListedFile(**f) for f in plain["files"])})


def is_remote(word: str) -> bool:
    """Whether an argument is the address of a data set."""
    return _WORD.match(word) is not None


def resolve(word: str) -> tuple[str, str]:
    """The address and the release of an argument.

    Raises
    ------
    UsageError
        It is not an address.
    """
    if (named := _ID.fullmatch(word)) is not None:
        kind, number, release = named[1], named[2], named[3] or ""
        if kind == "nemar":
            return f"{NEMAR}/{number}", release
        if release:
            raise UsageError(
                "OpenNeuro's bucket has the latest release only", found=word, expected=f"openneuro:{number}"
            )
        return f"{OPENNEURO}/{number}", ""
    if re.match(r"(openneuro|nemar):", word):
        expected = "openneuro:ds and six digits, or nemar:nm or on and six digits"
        raise UsageError("not the id of a data set", found=word, expected=expected)
    if (match := re.match(r"(s3|https?|hf):/{1,2}", word)) is None:
        raise UsageError("not an address", found=word)
    # pathlib collapses two slashes into one
    return check_address(f"{match[1]}://{word[match.end() :]}", "a data set"), ""


def list_files(word: str, *, options: dict[str, Any] | None = None) -> Listing:
    """List a data set's files.

    Parameters
    ----------
    word : str
        `openneuro:ID`, `nemar:ID`, or an address.
    options : dict, optional
        Options of fsspec's file system.

    Raises
    ------
    UsageError
        No such data set, no permission, no connection, or a missing package.
    RefusedError
        The list has names that must not be used as paths.
    """
    address, release = resolve(word)
    scheme = address.split("://")[0]
    options = options_of(scheme) if options is None else options
    if address.startswith(f"{NEMAR}/"):
        listing = _of_nemar(address, release, options)
    else:
        how = {"s3": _of_s3, "hf": _of_hub}.get(scheme, _of_web)
        try:
            listing = again(lambda: how(address, options), "the list of files", address, attempts=2, failure=UsageError)
        except RefusedError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise UsageError(
                    "no data set at this address", where=address, todo="check the id or the path"
                ) from error
            raise
    files = tuple(sorted(_checked(listing.files, address), key=lambda f: f.path))
    if not files:
        raise UsageError("no files at this address", where=address, todo="check the id or the path")
    return dataclasses.replace(_with_sums(listing, files), address=address)


def address_of(listing: Listing, file: ListedFile) -> str:
    """The complete address of a file."""
    if file.url:
        return file.url
    if listing.address.startswith("http"):
        return f"{listing.address}/{urllib.parse.quote(file.path)}"
    if listing.address.startswith("hf://") and file.version:
        root, *rest = re.fullmatch(r"(hf://(?:datasets/)?[^/]+/[^/@]+)(?:@[^/]+)?(/.*)?", listing.address).groups()  # type: ignore[union-attr]
        return f"{root}@{file.version}{rest[0] or ''}/{file.path}"
    return f"{listing.address}/{file.path}"


def _checked(files: Iterable[ListedFile], address: str) -> list[ListedFile]:
    """Without folders; RefusedError for a name that must not become a path on this machine."""
    found: dict[str, ListedFile] = {}
    for file in files:
        if not file.path or file.path.endswith("/"):
            continue
        parts = file.path.split("/")
        if (
            len(file.path) > 1000
            or "\\" in file.path
            or any(p in ("", ".", "..") or re.match(r"[A-Za-z]:", p) for p in parts)
            or any(unicodedata.category(c) == "Cc" for c in file.path)
        ):
            raise RefusedError("the list of files has a name that is no path", where=address, found=file.path[:200])
        found[file.path] = file
        if len(found) > _MAX_FILES:
            raise UsageError("too many files at this address", where=address, expected=f"at most {_MAX_FILES}")
    return list(found.values())


def _of_s3(address: str, options: dict[str, Any]) -> Listing:
    """The objects under a prefix, with the ids of their latest versions if the bucket shows them."""
    root = address.removeprefix("s3://")
    denied: Exception | None = None
    for access in _accesses(options):
        for versions in (True, False):
            system = file_system("s3", {**_S3, **access, "version_aware": versions})
            system.retries = 2  # of every request; the list as a whole is retried too
            try:
                found = system.find(root, detail=True)
            except (PermissionError, NotImplementedError) as error:
                denied = error
                continue
            files = [
                ListedFile(
                    path=name.removeprefix(root + "/"),
                    n_bytes=int(entry["size"]),
                    etag=str(entry.get("ETag", "")).strip('"'),
                    version=_version(entry) if versions else "",
                    digest=_md5(str(entry.get("ETag", "")).strip('"')),
                )
                for name, entry in found.items()
                if name.startswith(root + "/")
            ]
            used = {**_kept(access), "version_aware": any(f.version for f in files)}
            return Listing(address=address, files=tuple(files), options=used)
    assert denied is not None
    raise denied


#: Connections fail in seconds; what is worth a retry is retried by `again`.
_S3 = {"config_kwargs": {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 2}}}


def _accesses(options: dict[str, Any]) -> list[dict[str, Any]]:
    """Anonymous first; with the environment's credentials second, if there are any."""
    if "anon" in options:
        return [options]
    own = any(os.environ.get(n) for n in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"))
    return [{**options, "anon": True}, *([{**options, "anon": False}] if own else [])]


def _kept(options: dict[str, Any]) -> dict[str, Any]:
    """The options that may be written to the disk: no credentials."""
    return {name: options[name] for name in ("endpoint_url", "anon", "endpoint") if name in options}


def _version(entry: dict[str, Any]) -> str:
    version = entry.get("VersionId")
    return "" if version in (None, "null") else str(version)


def _md5(etag: str) -> str:
    """The ETag of an object that was uploaded in one part is the MD5 of its bytes."""
    return f"md5:{etag}" if _MD5.fullmatch(etag) else ""


def _of_hub(address: str, options: dict[str, Any]) -> Listing:
    """The files of a repository at its current commit, or at the one in the address (`@revision`)."""
    from huggingface_hub import HfApi

    system = file_system("hf", options)
    resolved = system.resolve_path(address.removeprefix("hf://"))
    api = HfApi(endpoint=system.endpoint, token=system.token)
    commit = str(api.repo_info(resolved.repo_id, repo_type=resolved.repo_type, revision=resolved.revision).sha or "")
    root = resolved.unresolve()
    files = []
    for name, entry in system.find(root, detail=True).items():
        large, blob = entry.get("lfs"), str(entry.get("blob_id") or "")
        sha256 = large.get("sha256") if isinstance(large, dict) else getattr(large, "sha256", None)
        digest = f"sha256:{sha256}" if sha256 else f"git:{blob}" if blob.strip("0") else ""
        files.append(
            ListedFile(
                path=name.removeprefix(root + "/"), n_bytes=int(entry["size"]), etag=blob, version=commit, digest=digest
            )
        )
    return Listing(address=address, files=tuple(files), options=_kept(options), release=commit)


def _of_web(address: str, options: dict[str, Any]) -> Listing:
    """The files of index pages, folder by folder; derived and other data are not looked into."""
    system = file_system(address.split("://")[0], options)
    waiting, urls = [f"{address}/"], list[str]()
    seen = set(waiting)
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        while waiting:
            pages = pool.map(lambda folder: (folder, system.ls(folder, detail=False)), waiting)
            waiting = []
            for folder, links in pages:
                for link in map(html.unescape, links):
                    rest = link.removeprefix(folder)
                    if rest == link or not rest.strip("/") or "?" in rest or "#" in rest or "/" in rest.rstrip("/"):
                        continue
                    if link in seen or urllib.parse.unquote(link[len(address) + 1 :]).startswith(_ELSEWHERE):
                        continue
                    seen.add(link)
                    (waiting if link.endswith("/") else urls).append(link)
                if len(seen) > _MAX_FILES:
                    raise UsageError("too many files at this address", where=address, expected=f"at most {_MAX_FILES}")

        def one(url: str) -> ListedFile:
            told = again(lambda: system.info(url), url[len(address) + 1 :], address, failure=InputError)
            etag = str(told.get("ETag") or told.get("Last-Modified") or "").strip('"')
            path = urllib.parse.unquote(url[len(address) + 1 :])
            return ListedFile(path=path, n_bytes=told.get("size"), etag=etag, url=url)

        return Listing(address=address, files=tuple(pool.map(one, urls)), options=_kept(options))


def _of_nemar(address: str, release: str, options: dict[str, Any]) -> Listing:
    """The files in the manifest of a release, which names their sizes, hashes and addresses."""
    system = file_system(address.split("://")[0], options)

    def read(url: str, what: str) -> Any:
        def attempt() -> bytes:
            total, found = 0, []
            for piece in transport.pieces(system, url):
                total += len(piece)
                found.append(piece)
                if total > _MAX_JSON_BYTES:
                    raise RefusedError(f"{what} is too large", where=url, expected=f"at most {_MAX_JSON_BYTES} bytes")
            return b"".join(found)

        try:
            return json.loads(again(attempt, what, url, attempts=2, failure=UsageError))
        except RefusedError as error:
            raise UsageError("no data set at this address", where=url, todo="check the id") from error
        except ValueError as error:
            raise InputError(f"{what} is not JSON", where=url, found=error) from error

    index = read(f"{address}/", "the data set's index")
    versions = {str(v.get("version")): v for v in _listed(index, "versions")}
    wanted = release or (index.get("latest") if isinstance(index, dict) else None) or ""
    chosen = versions.get(str(wanted)) or versions.get(f"v{wanted}")
    if chosen is None:
        raise UsageError(
            "the data set has no such release", where=address, found=wanted or "none", expected=" or ".join(versions)
        )
    manifest_url = urllib.parse.urljoin(f"{address}/", str(chosen.get("manifest_url", "")))
    version = str(chosen["version"])
    manifest = read(manifest_url, "the list of files")
    files = []
    for entry in manifest if isinstance(manifest, list) else _listed(manifest, "files"):
        url = urllib.parse.urljoin(manifest_url, str(entry.get("url") or ""))
        check_address(url, "a file")
        algorithm, value = str(entry.get("checksum_algorithm", "")).lower(), str(entry.get("checksum", "")).lower()
        known = algorithm in ("sha256", "md5", "git") and re.fullmatch(r"[0-9a-f]{32,64}", value)
        size = entry.get("size")
        files.append(
            ListedFile(
                path=str(entry.get("path", "")), n_bytes=size if isinstance(size, int) else None, version=version,
                digest=f"{algorithm}:{value}" if known else "", url=url,
            )
        )  # fmt: skip
    return Listing(address=address, files=tuple(files), options=_kept(options), release=version)


def _listed(plain: Any, name: str) -> list[dict[str, Any]]:
    found = plain.get(name) if isinstance(plain, dict) else None
    return [e for e in found if isinstance(e, dict)] if isinstance(found, list) else []


def _with_sums(listing: Listing, files: tuple[ListedFile, ...]) -> Listing:
    """With the hashes of a list in the data set itself (`SHA256SUMS.txt`), for files that have no hash yet."""
    sums = next((f for name in _SUMS for f in files if f.path == name), None)
    if sums is None or all(f.digest for f in files):
        return dataclasses.replace(listing, files=files)
    system = file_system(listing.address.split("://")[0], listing.options)

    def attempt() -> bytes:
        found = b""
        for piece in transport.pieces(system, address_of(listing, sums), version=sums.version):
            found += piece
            if len(found) > _MAX_SUMS_BYTES:
                raise RefusedError(f"{sums.path} is too large", where=listing.address)
        return found

    text = again(attempt, sums.path, listing.address).decode("utf-8", "replace")
    hashes = {
        path: sha256 for line in text.splitlines() if (parsed := parse_sum(line.strip())) for sha256, path in [parsed]
    }
    told = tuple(
        f if f.digest or f.path not in hashes else dataclasses.replace(f, digest=f"sha256:{hashes[f.path]}")
        for f in files
    )
    return dataclasses.replace(listing, files=told)


def verifier(file: ListedFile) -> tuple[Any, Callable[[Any], str]] | None:
    """A hash object for the file's digest, and what compares with it; None if the server gave no hash."""
    kind, _, _ = file.digest.partition(":")
    if kind in ("md5", "sha256"):
        return hashlib.new(kind, usedforsecurity=False), lambda h: f"{kind}:{h.hexdigest()}"
    if kind == "git" and file.n_bytes is not None:
        digest = hashlib.sha1(b"blob %d\0" % file.n_bytes, usedforsecurity=False)
        return digest, lambda h: f"git:{h.hexdigest()}"
    return None
