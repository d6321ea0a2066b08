"""What builds reach on this machine: a web server, a git repository behind it, an agent's socket."""

import gzip
import hashlib
import http.server
import io
import os
import socket
import subprocess
import tarfile
import threading

FILE = b"from the web\n"
FILE_TIME = "Sun, 13 Sep 2020 12:26:40 GMT"  # case.TIME


def small_tar():
    """A tar of two files, one of them another user's, the same bytes every time."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, uid, content in (("dir/inner", 0, b"inner\n"), ("owned", 1234, b"owned\n")):
            entry = tarfile.TarInfo(name)
            entry.mtime, entry.uid, entry.gid, entry.size = 1_500_000_000, uid, uid, len(content)
            tar.addfile(entry, io.BytesIO(content))
    return target.getvalue()


PAGES = {
    "/file.txt": (FILE, {"Last-Modified": FILE_TIME}),
    "/undated": (FILE, {}),
    "/dir/": (FILE, {}),
    "/archive.tar.gz": (gzip.compress(small_tar(), mtime=0), {"Last-Modified": FILE_TIME}),
    "/disposition": (FILE, {"Content-Disposition": 'attachment; filename="named.txt"'}),
    "/query": (FILE, {"Last-Modified": FILE_TIME}),
}
CHECKSUM = "sha256:" + hashlib.sha256(FILE).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path.startswith("/git/"):
            return self.git(path, query)
        if path == "/redirect":
            return self.answer(302, b"", {"Location": "/file.txt"})
        if path in PAGES:
            return self.answer(200, *PAGES[path])
        return self.answer(404, b"no such page\n", {})

    do_HEAD = do_GET
    do_POST = do_GET

    def answer(self, status, content, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def git(self, path, query):
        length = int(self.headers.get("Content-Length") or 0)
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": self.server.git_root,
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path.removeprefix("/git"),
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type") or "",
            "CONTENT_LENGTH": str(length),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding") or "",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "",
        }
        done = subprocess.run(
            ["git", "http-backend"], input=self.rfile.read(length), capture_output=True, env=environment
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200").split()[0])
        self.answer(status, content, headers)

    def log_message(self, *_):
        pass


class Services:
    """All of them, for as long as the `with` lasts."""

    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        os.makedirs(self.folder)
        self.commits = make_repository(os.path.join(self.folder, "git", "repo.git"))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.git_root = os.path.join(self.folder, "git")
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.agent = socket.socket(socket.AF_UNIX)
        self.agent_path = os.path.join(self.folder, "agent")
        self.agent.bind(self.agent_path)
        self.agent.listen()
        threading.Thread(target=self.refuse, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.agent.close()

    def refuse(self):
        """An agent without keys: SSH_AGENT_FAILURE to whatever is asked."""
        while True:
            try:
                peer, _ = self.agent.accept()
            except OSError:
                return
            with peer:
                if peer.recv(4096):
                    peer.sendall(b"\0\0\0\1\5")

    def values(self):
        """What %NAME% stands for."""
        return {
            "HTTP": f"http://127.0.0.1:{self.server.server_port}",
            "GIT": f"http://127.0.0.1:{self.server.server_port}/git/repo.git",
            "AGENT": self.agent_path,
            "CHECKSUM": CHECKSUM,
            **self.commits,
        }


def make_repository(path):
    """Two commits on main, the first tagged v1, and a branch; returns their names."""
    work = path + ".work"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.path.dirname(path),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.com",
        "GIT_AUTHOR_DATE": "1500000000 +0000",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.com",
        "GIT_COMMITTER_DATE": "1500000000 +0000",
    }

    def git(*words):
        done = subprocess.run(
            ["git", *words], cwd=work, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def write(name, text, mode=0o644):
        full = os.path.join(work, name)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(full, mode)

    os.makedirs(work)
    git("init", "-q", "-b", "main")
    write("README", "first\n")
    write("tool", "#!/bin/sh\n", 0o755)
    write("sub/Dockerfile", "FROM scratch\nCOPY file /from-git\n")
    write("sub/file", "sub\n")
    os.symlink("README", os.path.join(work, "link"))
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    git("tag", "v1")
    first = git("rev-parse", "HEAD")
    git("checkout", "-q", "-b", "side")
    write("side", "side\n")
    git("add", "-A")
    git("commit", "-q", "-m", "side")
    git("checkout", "-q", "main")
    write("README", "second\n")
    git("commit", "-q", "-a", "-m", "second")
    second = git("rev-parse", "HEAD")
    subprocess.run(["git", "clone", "-q", "--bare", work, path], check=True, env=environment)
    # Any commit can be asked for, as on the big hosts.
    subprocess.run(
        ["git", "-C", path, "config", "uploadpack.allowAnySHA1InWant", "true"], check=True, env=environment
    )
    return {"FIRST_COMMIT": first, "SECOND_COMMIT": second}
