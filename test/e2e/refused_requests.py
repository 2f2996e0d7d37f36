# SPDX-License-Identifier: Apache-2.0
"""Requests that are malformed or ambiguous: refused with the right status and closed; not one
byte of what they may smuggle reaches the origin."""

from harness.case import Case

HOST = b"Host: a.example\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n"


def get(*lines, first=b"GET / HTTP/1.1", host=HOST):
    return first + b"\r\n" + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def post(*lines, body=b"", first=b"POST / HTTP/1.1"):
    return get(*lines, first=first) + body


CHUNKED = b"Transfer-Encoding: chunked"

# name: (status or statuses, cause, bytes)
TABLE = {
    # the first line
    "no_version": (400, "bad_request_line", b"GET /\r\n" + HOST + b"\r\n"),
    "http09": (400, "bad_request_line", b"GET /\r\n"),
    "lower_case_version": (400, "bad_request_line", get(first=b"GET / http/1.1")),
    "version_with_space": (400, "bad_request_line", get(first=b"GET / HTTP/ 1.1")),
    "version_without_minor": (400, "bad_request_line", get(first=b"GET / HTTP/1")),
    "version_with_long_minor": (400, "bad_request_line", get(first=b"GET / HTTP/1.10")),
    "http2_version": (505, "unsupported_version", get(first=b"GET / HTTP/2.0")),
    "http3_version": (505, "unsupported_version", get(first=b"GET / HTTP/3.0")),
    "tls_hello": (400, "tls_to_plain_port", bytes.fromhex("16030100a5010000a10303") + b"\x55" * 80),
    "two_spaces": (400, ("bad_request_line", "bad_target"), get(first=b"GET  / HTTP/1.1")),
    "tab_for_space": (400, "bad_request_line", get(first=b"GET\t/ HTTP/1.1")),
    "leading_space": (400, "bad_request_line", get(first=b" GET / HTTP/1.1")),
    "trailing_space": (400, "bad_request_line", get(first=b"GET / HTTP/1.1 ")),
    "space_in_target": (400, ("bad_request_line", "bad_target"), get(first=b"GET /a b HTTP/1.1")),
    "nul_in_method": (400, "bad_request_line", get(first=b"G\0T / HTTP/1.1")),
    "colon_in_method": (400, "bad_request_line", get(first=b"GE:T / HTTP/1.1")),
    "empty_method": (400, "bad_request_line", get(first=b" / HTTP/1.1")),
    "bare_cr_in_line": (400, ("bad_request_line", "bad_target"), get(first=b"GET /a\rb HTTP/1.1")),
    "bare_lf_ends_line": (400, "bad_request_line", b"GET / HTTP/1.1\n" + HOST + b"\r\n"),
    "connect": (501, "unsupported_method", get(first=b"CONNECT a.example:80 HTTP/1.1")),
    # the target
    "target_without_slash": (400, "bad_target", get(first=b"GET a HTTP/1.1")),
    "nul_in_target": (400, ("bad_target", "bad_request_line"), get(first=b"GET /a\0b HTTP/1.1")),
    "control_in_target": (400, ("bad_target", "bad_request_line"),
                          get(first=b"GET /\x01 HTTP/1.1")),
    "del_in_target": (400, ("bad_target", "bad_request_line"), get(first=b"GET /\x7f HTTP/1.1")),
    "fragment_in_target": (400, "bad_target", get(first=b"GET /a#b HTTP/1.1")),
    "asterisk_of_get": (400, "bad_target", get(first=b"GET * HTTP/1.1")),
    "absolute_without_host": (400, ("bad_target", "bad_host"), get(first=b"GET http:///a HTTP/1.1")),
    "userinfo_in_target": (400, ("bad_target", "bad_host"),
                           get(first=b"GET http://u:p@a.example/ HTTP/1.1")),
    "long_target": (414, "target_too_long", get(first=b"GET /" + b"a" * 17000 + b" HTTP/1.1")),
    "endless_target": (414, "target_too_long", b"GET /" + b"a" * 200_000),
    # header lines
    "space_before_colon": (400, "bad_header", get(b"X-A : b")),
    "tab_before_colon": (400, "bad_header", get(b"X-A\t: b")),
    "folded_line": (400, "bad_header", get(b"X-A: b", b" c")),
    "folded_with_tab": (400, "bad_header", get(b"X-A: b", b"\tc")),
    "space_before_first_field": (400, "bad_header", get(b"X-A: b", host=b" Host: a\r\n")),
    "no_colon": (400, "bad_header", get(b"X-A b")),
    "empty_name": (400, "bad_header", get(b": b")),
    "nul_in_value": (400, "bad_header", get(b"X-A: b\0c")),
    "control_in_value": (400, "bad_header", get(b"X-A: b\x01c")),
    "bare_cr_in_value": (400, "bad_header", get(b"X-A: b\rX-B: c")),
    "bare_lf_in_value": (400, "bad_header", get(b"X-A: b\nX-B: c")),
    "bare_lf_ends_head": (400, "bad_header", b"GET / HTTP/1.1\r\n" + HOST + b"\n"),
    "name_with_space": (400, "bad_header", get(b"X A: b")),
    "name_with_bracket": (400, "bad_header", get(b"X(A): b")),
    "name_with_high_byte": (400, "bad_header", get(b"X-\xe4: b")),
    "large_field": (431, "head_too_large", get(b"X-A: " + b"b" * 40_000)),
    "endless_field": (431, "head_too_large",
                      b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"b" * 200_000),
    "too_many_fields": (431, "head_too_large", get(*(b"X-%d: b" % n for n in range(101)))),
    # Host
    "no_host": (400, "bad_host", get(host=b"")),
    "two_hosts": (400, "bad_host", get(host=HOST + b"Host: b.example\r\n")),
    "same_host_twice": (400, "bad_host", get(host=HOST + HOST)),
    "host_list": (400, "bad_host", get(host=b"Host: a.example, b.example\r\n")),
    "host_with_path": (400, "bad_host", get(host=b"Host: a.example/x\r\n")),
    "host_with_userinfo": (400, "bad_host", get(host=b"Host: u@a.example\r\n")),
    "host_with_bad_port": (400, "bad_host", get(host=b"Host: a.example:8x\r\n")),
    "host_with_space": (400, "bad_host", get(host=b"Host: a example\r\n")),
    "host_with_open_bracket": (400, "bad_host", get(host=b"Host: [::1\r\n")),
    # lengths
    "length_not_a_number": (400, "bad_content_length", post(b"Content-Length: abc")),
    "length_empty": (400, "bad_content_length", post(b"Content-Length: ")),
    "length_negative": (400, "bad_content_length", post(b"Content-Length: -1")),
    "length_with_plus": (400, "bad_content_length", post(b"Content-Length: +5", body=b"abcde")),
    "length_hexadecimal": (400, "bad_content_length", post(b"Content-Length: 0x5", body=b"abcde")),
    "length_with_space": (400, "bad_content_length", post(b"Content-Length: 1 5")),
    "length_too_large": (400, "bad_content_length", post(b"Content-Length: 18446744073709551616")),
    "length_enormous": (400, "bad_content_length", post(b"Content-Length: " + b"9" * 400)),
    "two_lengths": (400, "bad_content_length",
                    post(b"Content-Length: 0", b"Content-Length: %d" % len(SMUGGLED),
                         body=SMUGGLED)),
    "list_of_lengths": (400, "bad_content_length", post(b"Content-Length: 5, 6", body=b"abcde")),
    "length_and_chunked": (400, "bad_content_length",
                           post(b"Content-Length: 4", CHUNKED, body=b"0\r\n\r\n" + SMUGGLED)),
    "chunked_and_length": (400, "bad_content_length",
                           post(CHUNKED, b"Content-Length: 5", body=b"0\r\n\r\n" + SMUGGLED)),
    # codings
    "unknown_coding": ((400, 501), ("bad_transfer_encoding", "unsupported_coding"),
                       post(b"Transfer-Encoding: strange")),
    "gzip_and_chunked": (501, "unsupported_coding", post(b"Transfer-Encoding: gzip, chunked")),
    "chunked_twice": (400, "bad_transfer_encoding", post(CHUNKED, CHUNKED, body=b"0\r\n\r\n")),
    "chunked_not_last": ((400, 501), ("bad_transfer_encoding", "unsupported_coding"),
                         post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n" + SMUGGLED)),
    "identity": ((400, 501), ("bad_transfer_encoding", "unsupported_coding"),
                 post(b"Transfer-Encoding: identity", body=SMUGGLED)),
    "quoted_chunked": ((400, 501), ("bad_transfer_encoding", "unsupported_coding"),
                       post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n" + SMUGGLED)),
    "vertical_tab_chunked": (400, ("bad_header", "bad_transfer_encoding"),
                             post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n" + SMUGGLED)),
    "chunked_with_parameter": ((400, 501), ("bad_transfer_encoding", "unsupported_coding"),
                               post(b"Transfer-Encoding: chunked;q=1", body=b"0\r\n\r\n")),
    "empty_coding": (400, "bad_transfer_encoding", post(b"Transfer-Encoding: ", body=SMUGGLED)),
    "coding_of_http10": (400, "bad_transfer_encoding",
                         post(CHUNKED, first=b"POST / HTTP/1.0", body=b"0\r\n\r\n" + SMUGGLED)),
    "coding_with_space_before_colon": (400, "bad_header",
                                       post(b"Transfer-Encoding : chunked", b"Content-Length: 5",
                                            body=b"0\r\n\r\n" + SMUGGLED)),
}

# name: the chunked body; 400 and bad_chunk, and the origin never sees a complete request
BODIES = {
    "size_not_hexadecimal": b"xyz\r\nabc\r\n0\r\n\r\n",
    "size_empty": b"\r\nabc\r\n0\r\n\r\n",
    "size_negative": b"-3\r\nabc\r\n0\r\n\r\n",
    "size_with_plus": b"+3\r\nabc\r\n0\r\n\r\n",
    "size_with_prefix": b"0x3\r\nabc\r\n0\r\n\r\n",
    "size_with_leading_space": b" 3\r\nabc\r\n0\r\n\r\n",
    "size_overflows": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "size_of_many_zeros": b"0" * 70_000 + b"3\r\nabc\r\n0\r\n\r\n",
    "data_longer_than_size": b"3\r\nabcd\r\n0\r\n\r\n",
    "no_crlf_after_data": b"3\r\nabc0\r\n\r\n",
    "bare_lf_after_size": b"3\nabc\r\n0\r\n\r\n",
    "bare_lf_after_data": b"3\r\nabc\n0\r\n\r\n",
    "bare_cr_after_size": b"3\rabc\r\n0\r\n\r\n",
    "bare_lf_in_extension": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "endless_extension": b"3;" + b"a" * 200_000 + b"\r\nabc\r\n0\r\n\r\n",
    "bad_trailer": b"3\r\nabc\r\n0\r\nbad trailer : x\r\n\r\n",
    "endless_trailers": b"3\r\nabc\r\n0\r\n" + b"X-A: b\r\n" * 30_000,
}


def as_set(value):
    return value if isinstance(value, tuple) else (value,)


class Refused(Case):
    def refuse(self, name, data, status, cause, followed=SMUGGLED):
        origin, weir = self.proxied()
        client = self.client(weir)
        client.try_send(data)
        client.try_send(followed)
        response = client.response()
        self.assertIn(response.status, as_set(status), response)
        self.assertIn(response.cause, as_set(cause), response)
        self.assertEqual(response.fields.get("connection", "").lower(), "close")
        self.assertTrue(client.closed(), "nothing follows the refusal")
        self.assertEqual([r for r in origin.seen() if r.complete or r.path == "/smuggled"], [])
        entries = weir.logged(1)
        self.assertEqual(len(entries), 1, entries)
        self.assertIn(entries[0]["cause"], as_set(cause))
        self.assertEqual(self.client(weir).get("/next").status, 200)
        self.assertNotIn(b"smuggled", origin.bytes())


def _add(name, status, cause, data):
    def test(self):
        self.refuse(name, data, status, cause)
    setattr(Refused, f"test_{name}", test)


for _name, (_status, _cause, _data) in TABLE.items():
    _add(_name, _status, _cause, _data)
for _name, _data in BODIES.items():
    _add(f"chunked_body_{_name}", 400, ("bad_chunk", "bad_header"), post(CHUNKED, body=_data))
