# SPDX-License-Identifier: Apache-2.0
"""Just enough C++ for tidy.py: text without comments and strings, and where functions stand.

Not a parser: it needs balanced brackets, and no particular layout.
"""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Function:
    begin: int   # offset of the opening brace
    end: int     # offset behind the closing brace
    first: int   # line of the opening brace
    last: int    # line of the closing brace


@dataclasses.dataclass(frozen=True)
class Statement:
    begin: int
    text: str


@dataclasses.dataclass(frozen=True)
class Scan:
    code: str         # the text, comments and literals blanked, of the same length
    functions: list   # outermost function bodies
    statements: list  # what ends in a semicolon at namespace scope


TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|\bR"(?P<tag>[^\s()\\]{0,16})\(.*?\)(?P=tag)"'
    r'|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Fa-f])\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)
PREPROCESSOR = re.compile(r"^[ \t]*#(?:\\\n|[^\n])*", re.MULTILINE)


def blank(text):
    """Keeps new lines, so that offsets and line numbers stay."""
    return re.sub(r"[^\n]", " ", text)


def strip(text):
    """Blanks comments and what stands inside string and character literals."""
    def replace(match):
        token = match.group()
        if token.startswith("/"):
            return blank(token)
        quote = token[-1]
        return quote + blank(token[1:-1]) + quote
    return TOKEN.sub(replace, text)


def scan(text):
    code = strip(text)
    functions, statements = [], []
    flat = PREPROCESSOR.sub(lambda match: blank(match.group()), code)
    _scopes(flat, functions, statements)
    return Scan(code, functions, statements)


def _scopes(code, functions, statements):
    scopes = []      # of 'namespace', 'type', 'value', around the current offset
    head = 0         # where the current declaration begins
    offset = 0
    while offset < len(code):
        char = code[offset]
        if char == "{":
            kind = _kind(code[head:offset])
            if kind == "function":
                end = _matching(code, offset)
                functions.append(Function(offset, end, code.count("\n", 0, offset) + 1,
                                          code.count("\n", 0, end) + 1))
                offset = end
                # A brace that was an initialiser (of a member, of a lambda) does not end its head.
                if not re.match(r"\s*[,;{)(]", code[end:end + 200]):
                    head = end
                continue
            if kind == "value":
                offset = _matching(code, offset)
                continue
            scopes.append(kind)
            head = offset + 1
        elif char == "}":
            if scopes:
                scopes.pop()
            head = offset + 1
        elif char == ";":
            if all(scope == "namespace" for scope in scopes):
                begin = head + len(code[head:offset]) - len(code[head:offset].lstrip())
                statements.append(Statement(begin, code[begin:offset].strip()))
            head = offset + 1
        elif char == "(":
            offset = _matching(code, offset)
            continue
        offset += 1


def _kind(head):
    """What a brace opens, told by the declaration before it."""
    head = re.sub(r"\[\[.*?\]\]|\b(public|private|protected)\s*:", " ", head, flags=re.DOTALL)
    words = _without_template(head.strip())
    if re.match(r"(inline\s+)?namespace\b", words) or re.match(r'extern\s*"', words):
        return "namespace"
    if re.match(r"(typedef\s+)?(class|struct|union|enum)\b", words) and not words.endswith(")"):
        return "type"
    if _assigns(words):
        return "value"
    if ")" in words:
        return "function"
    return "value"


def _without_template(head):
    """The declaration behind `template <...>`."""
    while re.match(r"template\s*<", head):
        depth, offset = 0, head.index("<")
        while offset < len(head):
            depth += (head[offset] == "<") - (head[offset] == ">" and head[offset - 1] != "-")
            offset += 1
            if depth == 0:
                break
        head = head[offset:].strip()
    return head


def _assigns(words):
    """There is an '=' outside brackets that is no operator's name."""
    flat = re.sub(r"\boperator\s*[^\s\w(]+", " ", words)
    depth = 0
    for char in flat:
        depth += (char in "([") - (char in ")]")
        if char == "=" and depth == 0:
            return True
    return False


def _matching(code, offset):
    """The offset behind the bracket that closes the one at `offset`."""
    pairs = {"(": ")", "[": "]", "{": "}"}
    stack = []
    while offset < len(code):
        char = code[offset]
        if char in pairs:
            stack.append(pairs[char])
        elif char in pairs.values():
            if stack:
                stack.pop()
            if not stack:
                return offset + 1
        offset += 1
    return len(code)


NOT_A_VARIABLE = re.compile(
    r"\b(const|constexpr|consteval|using|typedef|enum|class|struct|union|namespace|template|friend|"
    r"concept|operator|static_assert|return|asm|requires|goto)\b|#|^$")
VARIABLE = re.compile(r"^(?:(?:static|inline|constinit|thread_local|extern)\s+)*"
                      r"[A-Za-z_][\w:]*(?:\s*<.*>)?[\s*&]+\w+\s*(?:\[[^\]]*\]\s*)*(?:=.*|\{.*)?$",
                      re.DOTALL)


def is_mutable_variable(statement):
    """`int hits = 0`, `static std::vector<int> all{1}`; not declarations of functions or types."""
    before = re.split(r"[={]", statement, maxsplit=1)[0]
    return not NOT_A_VARIABLE.search(before) and bool(VARIABLE.match(statement)) and bool(before)


LAMBDA = re.compile(r"(?<![\w\])\[])\[(?!\[)|\b(?:return|co_return|co_await|case)\s*\[(?!\[)")


def lambda_bodies(code):
    """(begin, end) of the bodies of lambda expressions."""
    for match in LAMBDA.finditer(code):
        bracket = code.index("[", match.start())
        offset = _matching(code, bracket)
        rest = re.compile(r"\s*").match(code, offset).end()
        if rest < len(code) and code[rest] == "<":
            rest = code.find(">", rest) + 1
            rest = re.compile(r"\s*").match(code, rest).end()
        if rest < len(code) and code[rest] == "(":
            rest = _matching(code, rest)
        tail = re.compile(r"(?:\s|\bmutable\b|\bnoexcept\b|\bconstexpr\b|->\s*[\w:<>,\s*&]+?)*\{")
        body = tail.match(code, rest)
        if body:
            yield body.end() - 1, _matching(code, body.end() - 1)
