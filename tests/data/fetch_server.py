"""An HTTPS server on a free port of this machine that behaves as badly as it is told to.

fetch_server.py FOLDER CERTIFICATE KEY: prints its port, then serves FOLDER until its standard input ends. The first
part of a path says how: /good, /cut (ends each answer after 40,000 bytes), /deaf (knows no ranges), /hopeless (both), /busy (503 twice,
then good), /long (one byte too many), /never (ends at once), /plain (redirects to http), /moved (redirects to /good).
What was asked for is appended to FOLDER/log: path, a space, the Range header or -.
"""
import http.server
import os
import ssl
import sys
import threading

folder, certificate, key = sys.argv[1:4]
refusals = {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        _, way, name = self.path.split("/", 2)
        ranges = self.headers.get("Range")
        with open(os.path.join(folder, "log"), "a") as log:
            log.write(f"{self.path} {ranges or '-'}\n")
        if way in ("plain", "moved"):
            self.send_response(302)
            self.send_header("Location", f"http://localhost/{name}" if way == "plain" else f"/good/{name}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if way == "busy" and refusals.setdefault(self.path, 2):
            refusals[self.path] -= 1
            self.send_error(503)
            return
        if way == "never":
            self.close_connection = True
            return
        try:
            with open(os.path.join(folder, name), "rb") as file:
                body = file.read()
        except OSError:
            self.send_error(404)
            return
        if way == "long":
            body += b"x"
        start = int(ranges.removeprefix("bytes=").rstrip("-")) if ranges and way not in ("deaf", "hopeless") else 0
        if start >= len(body) and start > 0:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        piece = body[start:]
        if way in ("cut", "hopeless") and len(piece) > 40000:
            piece = piece[:40000]
            self.close_connection = True
        self.wfile.write(piece)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
