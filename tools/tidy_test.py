# SPDX-License-Identifier: Apache-2.0
"""Shows each rule of tidy.py firing, and staying silent on code that is right."""

import unittest

import tidy

SPDX = "// SPDX-License-Identifier: Apache-2.0\n"
HEADER = SPDX + "//\n// What this header is for and who owns it.\n#pragma once\n"


def rules(path, text):
    return [finding.rule for finding in tidy.check_file(path, text)]


def in_cc(text, path="src/proxy/a.cc"):
    return rules(path, SPDX + text)


class Banned(unittest.TestCase):
    CASES = [
        # rule, path, code that is refused, code that is not
        ("number-parse", "src/http/a.cc", "const int n = strtol(p, &e, 10);",
         "const auto n = parse_u64(p);"),
        ("number-parse", "test/a.cc", "void f() { g(std::stoull(p)); }", "void stoic();"),
        ("number-parse", "bench/a.cc", "int main(int, char** v) { return atoi(v[1]); }", ""),
        ("std-function", "src/proxy/a.cc", "void f(std::function<void()> g);", "Fn f();"),
        ("mutex", "src/proxy/a.h", "struct A { std::mutex m_; };", "struct A { Mutex m; };"),
        ("mutex", "src/async/a.cc", "void f() { const std::lock_guard<M> l(m); }", ""),
        ("throw", "src/proxy/a.cc", "void f() { throw 1; }",
         'consteval int f() { throw "bad table"; }  // throw'),
        ("clock", "src/proxy/a.cc", "auto f() { return std::chrono::steady_clock::now(); }", ""),
        ("clock", "src/server/a.cc", "void f() { clock_gettime(CLOCK_REALTIME, &t); }", ""),
        ("sans-io", "src/http/a.cc", "Task<int> f() { co_return 1; }", "int f() { return 1; }"),
        ("sleep", "src/io/a_test.cc", "TEST(A, B) { usleep(1); }", "void f() { sleepless(); }"),
        ("sleep", "test/e2e/a.py", "time.sleep(1)", "wait_for(line)"),
        ("skipped-test", "src/io/a_test.cc", "TEST(A, DISABLED_B) {}", "TEST(A, B) {}"),
        ("skipped-test", "src/io/a_test.cc", "TEST(A, B) { GTEST_SKIP(); }", ""),
        ("skipped-test", "test/e2e/a_test.py", "@unittest.skip('later')",
         "@unittest.skipUnless(is_root(), 'needs root')"),
        ("thread-local", "src/proxy/a.cc", "thread_local int x = 0;", ""),
        ("dynamic-cast", "src/proxy/a.cc", "A* f(B* b) { return dynamic_cast<A*>(b); }", ""),
        ("task-variable", "src/proxy/a.cc", "void f() { Task<int> t = g(); }", "Task<int> f();"),
        ("task-variable", "src/proxy/a.cc", "class A { Task<Result<int>> t_; };",
         "Task<Result<int>> f(int a) { return g(a); }"),
        ("todo-now", "src/proxy/a.cc", "// TODO(now): write it", "// TODO(perf): measure"),
        ("machine-path", "docs/a.md", "Look at /root/weir/a.", "Look at /etc/weir/a."),
        ("machine-path", "src/cli/a.cc", 'const auto p = "/home/me/x";',
         'const auto p = "a/home/me/x";'),
    ]

    def test_each_fires_and_stays_silent(self):
        for rule, path, wrong, right in self.CASES:
            top = HEADER if path.endswith(".h") else "# " + SPDX if path.endswith(".py") else SPDX
            with self.subTest(rule=rule, code=wrong):
                self.assertEqual([rule], rules(path, top + wrong))
            with self.subTest(rule=rule, code=right):
                self.assertEqual([], rules(path, top + right))

    def test_every_ban_has_a_case(self):
        shown = {case[0] for case in self.CASES}
        self.assertEqual({ban.rule for ban in tidy.BANS + tidy.RAW_BANS}, shown)

    def test_folders_that_may(self):
        self.assertEqual([], in_cc("void f(std::function<void()> g);", "src/cli/a.cc"))
        self.assertEqual([], in_cc("void f() { std::mutex m; }", "src/server/a.cc"))
        self.assertEqual([], in_cc("auto f() { return std::chrono::steady_clock::now(); }",
                                   "src/io/a.cc"))
        self.assertNotIn("thread-local",
                         in_cc("thread_local Pool pool;", "src/async/frame_pool.h"))

    def test_comments_and_strings_are_not_code(self):
        self.assertEqual([], in_cc('// throw\n/* strtol( */ const auto s = "throw";'))
        self.assertEqual([], in_cc('const auto s = R"x(throw " std::mutex)x";'))
        self.assertEqual(["throw"], in_cc("void f() { g('\"'); throw 1; h('\"'); }"))

    def test_an_exception_has_a_reason(self):
        line = "void f() { throw 1; }"
        self.assertEqual([], in_cc(line + "  // tidy: allow throw because the parser catches it"))
        self.assertEqual([], in_cc("// tidy: allow throw because it must\n" + line))
        self.assertEqual(["throw"], in_cc(line + "  // tidy: allow throw"))
        self.assertEqual(["throw"], in_cc(line + "  // tidy: allow mutex because it must"))


class Includes(unittest.TestCase):
    def test_point_left(self):
        for path, name, found in [
            ("src/base/a.cc", "async/task.h", ["include-direction"]),
            ("src/http/a.cc", "base/bytes.h", []),
            ("src/http/a.cc", "io/loop.h", ["include-direction"]),
            ("src/config/a.h", "http/head.h", ["include-direction"]),
            ("src/io/a.cc", "async/task.h", []),
            ("src/io/a.cc", "tls/stream.h", ["include-direction"]),
            ("src/tls/a.cc", "io/stream.h", []),
            ("src/proxy/a.cc", "http/head.h", []),
            ("src/proxy/a.cc", "server/worker.h", ["include-direction"]),
            ("src/server/a.cc", "proxy/exchange.h", []),
            ("src/server/a.cc", "cli/run.h", ["include-direction"]),
            ("src/cli/a.cc", "server/process.h", []),
            ("src/main.cc", "cli/main.h", []),
            ("src/http/a.cc", "test/split.h", ["include-direction"]),
            ("src/http/a_test.cc", "test/split.h", []),
            ("test/sim/a.cc", "server/process.h", []),
            ("src/news/a.cc", "base/bytes.h", ["include-direction", "include-direction"]),
        ]:
            with self.subTest(path=path, name=name):
                top = HEADER if path.endswith(".h") else SPDX
                self.assertEqual(found, rules(path, f'{top}#include "{name}"\n'))

    def test_sans_io_folders_include_no_io(self):
        self.assertEqual(["sans-io"], in_cc("#include <sys/socket.h>\n", "src/http/a.cc"))
        self.assertEqual(["sans-io"], in_cc("#include <coroutine>\n", "src/config/a.cc"))
        self.assertEqual([], in_cc("#include <sys/stat.h>\n", "src/config/a.cc"))
        self.assertEqual([], in_cc("#include <sys/socket.h>\n", "src/io/a.cc"))


class Sizes(unittest.TestCase):
    def test_columns(self):
        self.assertEqual([], in_cc("// " + "x" * 97))
        self.assertEqual(["columns"], in_cc("// " + "x" * 98))
        self.assertEqual([], in_cc("// " + "é" * 97))
        self.assertEqual([], in_cc("// https://" + "x" * 98))

    def test_functions(self):
        body = "  g();\n" * 69
        for head in ["void f() {", "A::A(int b) : b_(b), c_{b} {", "Task<int> A::f(int b) const {",
                     "template <class T = int, class U = std::vector<T>>\nvoid f() {",
                     "bool operator==(const A& a, const A& b) {", "TEST(A, b) {"]:
            for frame in ["%s", "namespace a {\n%s\n}", "struct A final : B {\n%s\n};"]:
                with self.subTest(head=head, frame=frame):
                    self.assertEqual([], in_cc(frame % (head + "\n" + body[:-7] + "}\n")))
                    self.assertEqual(["function-length"],
                                     in_cc(frame % (head + "\n" + body + "}\n")))

    def test_a_long_function_may_say_why(self):
        body = "  g();\n" * 80
        self.assertEqual([], in_cc("void f() {\n  // tidy: long because one table\n" + body + "}"))
        self.assertEqual([], in_cc("// tidy: long because one table\nvoid f() {\n" + body + "}"))

    def test_tables_are_not_functions(self):
        table = "constexpr auto kAll = std::to_array<Row>({\n" + "    {1, 2},\n" * 90 + "});\n"
        self.assertEqual([], in_cc(table))
        self.assertEqual([], in_cc("enum class A {\n" + "  b,\n" * 90 + "};\n"))

    def test_files(self):
        self.assertEqual([], in_cc("\n" * 598 + "\n"))
        self.assertEqual(["file-length"], in_cc("\n" * 600))
        self.assertEqual([], in_cc("// tidy: long because generated\n" + "\n" * 600))
        self.assertEqual(["file-length"], in_cc("\n" * 600 + "// tidy: long because generated\n"))


class Tops(unittest.TestCase):
    def test_spdx(self):
        for path in ["src/base/a.cc", "tools/a.py", "src/CMakeLists.txt", "dev", ".ci/run"]:
            with self.subTest(path=path):
                self.assertEqual(["spdx"], rules(path, "\n"))
        self.assertEqual([], rules("README.md", "\n"))

    def test_header(self):
        self.assertEqual([], rules("src/base/a.h", HEADER))
        self.assertEqual([], rules("src/base/a.h", HEADER.replace("What", '"What"')))
        self.assertEqual(["header-comment"], rules("src/base/a.h", SPDX + "#pragma once\n"))
        self.assertEqual(["pragma-once"],
                         rules("src/base/a.h", HEADER.replace("#pragma once\n", "")))


class State(unittest.TestCase):
    def test_mutable_statics(self):
        for code in ["void f() { static int n = 0; }", "int hits = 0;",
                     "static std::vector<int> v;", "namespace {\nstd::atomic<int> n{0};\n}",
                     "void f() { static Map<int> m; }",
                     "inline char buffer[64];"]:
            with self.subTest(code=code):
                self.assertEqual(["mutable-static"], in_cc(code))

    def test_constants_types_and_functions_are_none(self):
        for code in ["void f() { static const int n = 0; }", "constexpr int n = 0;",
                     "struct A {\n  int n = 0;\n  static A make();\n};", "int f();", "class A;",
                     "static int f(int n = 0);", "namespace { enum class A { b }; }",
                     "using A = std::vector<int>;", "const char* const kName = nullptr;",
                     "void f() { static_assert(true); int n = 0; }",
                     "template <class T> concept C = true;", "auto f() -> int;"]:
            with self.subTest(code=code):
                self.assertEqual([], in_cc(code))


class Lambdas(unittest.TestCase):
    def test_coroutines(self):
        for code in ["void f() { g([] { co_return; }); }",
                     "void f() { auto h = [this, &a](int n) mutable -> Task<> { co_return n; }; }",
                     "auto f() { return [x = 1]<class T>(T t) { co_await t; }; }"]:
            with self.subTest(code=code):
                self.assertEqual(["lambda-coroutine"], in_cc(code))

    def test_plain_ones_pass(self):
        for code in ["Task<int> f() { a[0] = [] { return 1; }(); co_return a[1]; }",
                     "[[nodiscard]] Task<int> f() { co_return g(b[1]); }",
                     "Task<int> f() { for (auto& [k, v] : m) { co_await g(k); } }"]:
            with self.subTest(code=code):
                self.assertEqual([], in_cc(code))


if __name__ == "__main__":
    unittest.main()
