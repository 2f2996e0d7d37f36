<?php
// SPDX-License-Identifier: Apache-2.0
// The application of applications.py in PHP: for its own server, and for php-fpm behind nginx.
declare(strict_types=1);

const LINE = "0123456789abcde\n";

function text(int $status, string $data): void {
  http_response_code($status);
  header('Content-Length: ' . strlen($data));
  echo $data;
}

function digest(): string {
  $input = fopen('php://input', 'rb');
  $sha = hash_init('sha256');
  $size = 0;
  while (($data = fread($input, 65536)) !== false && $data !== '') {
    hash_update($sha, $data);
    $size += strlen($data);
  }
  return $size . ' ' . hash_final($sha);
}

function seen(string $path): string {
  $headers = [];
  foreach ($_SERVER as $name => $value) {
    if (str_starts_with($name, 'HTTP_')) {
      $headers[strtolower(strtr(substr($name, 5), '_', '-'))] = $value;
    }
  }
  return json_encode(['method' => $_SERVER['REQUEST_METHOD'], 'path' => $path,
                      'query' => $_SERVER['QUERY_STRING'] ?? '', 'headers' => $headers]);
}

function pieces(int $count): void {
  for ($i = 0; $i < $count; ++$i) {
    echo str_repeat(LINE, 64);
    flush();
  }
}

function gated(string $gate): void {
  echo "first\n";
  flush();
  file_get_contents($gate);
  echo "last\n";
}

function endless(string $gate): void {
  register_shutdown_function(fn() => touch($gate));
  while (true) {
    echo str_repeat(LINE, 4096);
    flush();
  }
}

while (ob_get_level() > 0) ob_end_clean();
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
[, $name, $rest] = explode('/', $path) + [2 => ''];
match ($name) {
  'size' => text(200, substr(str_repeat(LINE, intdiv((int)$rest, 16) + 1), 0, (int)$rest)),
  'pieces' => pieces((int)$rest),
  'echo' => stream_copy_to_stream(fopen('php://input', 'rb'), fopen('php://output', 'wb')),
  'digest' => text(200, digest()),
  'seen' => text(200, seen($path)),
  'status' => http_response_code((int)$rest),
  'cookies' => (function () {
    header('Set-Cookie: a=1; Path=/', false);
    header('Set-Cookie: b=2', false);
    text(200, "two\n");
  })(),
  'unread' => text(413, "too much\n"),
  'gated' => gated($_GET['gate']),
  'endless' => endless($_GET['gate']),
  default => text(404, "nothing\n"),
};
