"""Greets whoever asks, over HTTP."""

import http.server

import jinja2

PAGE = jinja2.Template("Hello, {{ name }}!\n", keep_trailing_newline=True)


def page(path):
    return PAGE.render(name=path.strip("/") or "nobody")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        content = page(self.path).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", 18763), Handler).serve_forever()
