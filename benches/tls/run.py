"""Runs the measurements and prints them as Markdown. Arguments: where to work, rounds (7), words of the parts wanted (all)."""

import contextlib
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

WORK = Path(sys.argv[1])
ROUNDS = max(2, int(sys.argv[2])) if len(sys.argv) > 2 else 7
PARTS = sys.argv[3:] or ["crypto", "sockets", "idle", "hostile"]
BUILT = Path(os.environ["BUILT"])

NGINX_CONF = """
worker_processes 1;
daemon off;
pid {work}/nginx.pid;
error_log {work}/nginx.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    types {{ image/webp webp; }}
    keepalive_requests 1000000000;
    open_file_cache max=100;
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    ssl_ecdh_curve X25519;
    client_body_temp_path {work}/t1; proxy_temp_path {work}/t2; fastcgi_temp_path {work}/t3;
    uwsgi_temp_path {work}/t4; scgi_temp_path {work}/t5;
    root {work}/www;
    index body.webp;
    SERVER
}}
"""
NGINX_SERVER = """server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {work}/{kind}.crt; ssl_certificate_key {work}/{kind}.key;
    location = /empty {{ return 204; }} }}
"""


class Server:
    """A server on core 0, of which `process` is the one that serves."""

    def __init__(self, name, kind, port):
        self.name, self.kind, self.port = name, kind, port
        self.certificate = WORK / f"{kind}.crt"

    def start(self):
        key = self.certificate.with_suffix(".key")
        if self.name == "nginx":
            conf = WORK / f"nginx-{self.port}.conf"
            server = NGINX_SERVER.format(port=self.port, work=WORK, kind=self.kind)
            conf.write_text(NGINX_CONF.format(work=WORK).replace("SERVER", server))
            command = [os.environ["NGINX"], "-p", WORK, "-c", conf]
        else:
            command = [BUILT / "server", self.name, "aes-128", self.certificate, key, str(self.port)]
        self.started = subprocess.Popen(["taskset", "-c", "0", *command], stderr=open(WORK / f"{self.port}.log", "w"))
        time.sleep(0.5)
        assert self.started.poll() is None, f"{self.name} does not run"
        children = Path(f"/proc/{self.started.pid}/task/{self.started.pid}/children").read_text().split()
        self.process = int(children[0]) if children else self.started.pid
        return self

    def stop(self):
        self.started.send_signal(signal.SIGQUIT if self.name == "nginx" else signal.SIGKILL)
        self.started.wait()

    def cpu_us(self):
        return int(Path(f"/proc/{self.process}/schedstat").read_text().split()[0]) / 1000

    def memory_kib(self):
        return int(re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{self.process}/status").read_text())[1])

    def ask(self, what, count, *more):
        """What asks it so many times, on core 1."""
        return ["taskset", "-c", "1", BUILT / "load", what, self.name, self.certificate, str(self.port), str(count), *more]


@contextlib.contextmanager
def running(*servers):
    try:
        yield [server.start() for server in servers]
    finally:
        for server in servers:
            if hasattr(server, "started"):
                server.stop()


def h2load(server, count, *arguments):
    return ["taskset", "-c", "1", "h2load", "-n", str(count), "-c", "32", *arguments, f"https://127.0.0.1:{server.port}/"]


# What is asked: its name, the certificates, how many times, and the command; nginx has no HTTP/3 in Debian.
JOBS = [
    ("HTTP/1.1, 30 KB", ["p256"], 20000, lambda server, count: h2load(server, count, "--h1")),
    ("HTTP/2, 30 KB", ["p256"], 20000, lambda server, count: h2load(server, count, "-m", "1")),
    ("HTTP/2, 30 KB, 8 at once", ["p256"], 20000, lambda server, count: h2load(server, count, "-m", "8")),
    ("HTTP/3, 30 KB", ["p256"], 10000, lambda server, count: server.ask("h3", count, "32")),
    ("connection, full handshake", ["p256", "rsa2048"], 1000, lambda server, count: server.ask("full", count)),
    ("connection, resumed", ["p256"], 1000, lambda server, count: server.ask("resumed", count)),
    ("HTTP/3 connection, full handshake", ["p256"], 500, lambda server, count: server.ask("h3-full", count)),
]


def one_run(server, count, command):
    cpu, since = server.cpu_us(), time.monotonic()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    took, cpu = time.monotonic() - since, server.cpu_us() - cpu
    if "h2load" in command:
        assert f"{count} succeeded, 0 failed" in done.stdout, done.stdout
    return cpu / count, count / took


def sockets():
    """CPU time by server and job; ratios are medians of each round's, so that what slows a round slows all in it."""
    servers = [
        Server(name, kind, 18500 + number)
        for number, (name, kind) in enumerate(
            (name, kind) for kind in ["p256", "rsa2048"] for name in ["ring", "aws-lc", "aws-lc-pq", "nginx"]
        )
    ]
    found = {}
    with running(*servers):
        for turn in range(ROUNDS + 1):
            for job, kinds, count, command in JOBS:
                for server in servers:
                    if server.kind not in kinds or server.name == "nginx" and "HTTP/3" in job:
                        continue
                    run = one_run(server, count, command(server, count))
                    if turn > 0:
                        found.setdefault((job, server.kind), {}).setdefault(server.name, []).append(run)
            print(f"sockets: round {turn} of {ROUNDS}", file=sys.stderr)
    print("| what | certificate | server | CPU µs each | of ring's (quarters) | a second, wall clock |\n| --- | --- | --- | --- | --- | --- |")
    for (job, kind), by_server in found.items():
        for name, runs in by_server.items():
            low, ratio, high = statistics.quantiles(
                [cpu / ring for (cpu, _), (ring, _) in zip(runs, by_server["ring"])], n=4, method="inclusive"
            )
            cpu, rate = (statistics.median(run[at] for run in runs) for at in (0, 1))
            print(f"| {job} | {kind} | {name} | {cpu:.1f} | {ratio:.2f} ({low:.2f}-{high:.2f}) | {rate:.0f} |")


def crypto():
    pairs = [f"{WORK}/{kind}.crt,{WORK}/{kind}.key" for kind in ["p256", "rsa2048"]]
    done = subprocess.run(["taskset", "-c", "1", BUILT / "crypto", *pairs], check=True, stdout=subprocess.PIPE, text=True)
    found = {}
    for line in done.stdout.splitlines():
        what, took = line.split("\t")
        what, name = what.split(": ")
        found.setdefault(what, {})[name] = float(took)
    print("| server's part, without sockets | provider | CPU µs | of ring's |\n| --- | --- | --- | --- |")
    for what, by_name in found.items():
        for name, took in sorted(by_name.items(), key=lambda item: ["ring", "aws-lc", "aws-lc-pq"].index(item[0])):
            print(f"| {what} | {name} | {took:.1f} | {took / by_name['ring']:.2f} |")


def idle():
    """Memory of connections that asked once and then say nothing."""
    count = 1000
    print("| 1,000 idle connections | KiB each |\n| --- | --- |")
    for number, how in enumerate(["idle-h1", "idle-h2", "idle-h3"]):
        with running(Server("aws-lc", "p256", 18600 + number)) as [server]:
            before = server.memory_kib()
            with subprocess.Popen(server.ask(how, count), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
                assert client.stdout.readline() == "ready\n"
                print(f"| {how[5:]} | {(server.memory_kib() - before) / count:.1f} |")
                client.stdin.close()


def hostile():
    for number, what in enumerate(["stalled", "resets", "frame", "fields", "goaway"]):
        with running(Server("aws-lc", "p256", 18700 + number)) as [server]:
            subprocess.run(
                ["taskset", "-c", "1", BUILT / "hostile", what, server.certificate, str(server.port), str(server.process)], timeout=180
            )


for part in PARTS:
    {"crypto": crypto, "sockets": sockets, "idle": idle, "hostile": hostile}[part]()
