# SPDX-License-Identifier: Apache-2.0
"""Dictionaries to TOML: tables at the top, inline tables below, lists of tables as [[tables]]."""

import json
import re


def dumps(config):
    lines = [f"{_key(name)} = {_value(value)}" for name, value in config.items()
             if not _is_table(value) and not _is_tables(value)]
    for name, value in config.items():
        if _is_table(value):
            _table(lines, name, value)
        elif _is_tables(value):
            for item in value:
                lines.append(f"[[{_key(name)}]]")
                lines.extend(f"{_key(key)} = {_value(inner)}" for key, inner in item.items())
    return "\n".join(lines) + "\n"


def _table(lines, name, table):
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    if plain or not table:
        lines.append(f"[{_key(name)}]")
        lines.extend(f"{_key(key)} = {_value(value)}" for key, value in plain.items())
    for key, value in table.items():
        if isinstance(value, dict):
            lines.append(f"[{_key(name)}.{_key(key)}]")
            lines.extend(f"{_key(inner)} = {_value(v)}" for inner, v in value.items())


def _is_table(value):
    return isinstance(value, dict)


def _is_tables(value):
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _key(name):
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def _value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    return json.dumps(str(value), ensure_ascii=False)
