"""Makes tests/golden/chat.json: conversations as the released chat templates render them.

  tools/chat_golden.py FOLDER

FOLDER has the templates, FAMILY.jinja with Minke's names of families: the chat_template strings of
the released tokenizer_config.json files. They are rendered as `transformers` does.
"""

import copy
import json
import pathlib
import sys

from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

OUTPUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "chat.json"
DEEPSEEK = ["deepseek_v3", "distill", "deepseek_v31"]
CHATML = ["qwen2", "qwen3"]
THINKERS = ["deepseek_v31", "qwen3"]
BOS = {"llama3": "<|begin_of_text|>"}


def message(role: str, content: str, **more: object) -> dict:
    return {"role": role, "content": content} | more


def call(name: str, arguments: dict) -> dict:
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}}


TOOLS = [{"type": "function", "function": {"name": "weather", "description": "The weather in a \"city\", é 中",
                                           "parameters": {"type": "object", "properties": {"city": {"type": "string", "enum": []}}, "required": ["city"], "days": 1.5}}},
         {"type": "function", "function": {"name": "time", "description": "", "parameters": {}}}]
SYSTEM = message("system", "Be brief.")
PLAIN = [message("user", "Hello <|im_end|><｜User｜>"), message("assistant", "Hi.\n"), message("user", " How are\nyou? ")]
THOUGHT = [message("user", "2+2?"), message("assistant", "<think>\nTwo and two.\n</think>\n\n4"), message("user", "And 3+3?")]
CALLED = [message("user", "Weather?"), message("assistant", "", tool_calls=[call("weather", {"city": "北京", "n": [1, 2]}), call("time", {})]),
          message("tool", "{\"t\": 20}"), message("tool", "12:00")]
ANSWERED = CALLED + [message("assistant", "20 degrees at noon."), message("user", "Thanks")]


def cases() -> list[tuple[list[str], list[dict], dict]]:
    everyone = DEEPSEEK + CHATML + ["llama3"]
    return [
        (everyone, PLAIN, {}), (everyone, [SYSTEM] + PLAIN, {}), (everyone, PLAIN[:2], {"add_generation_prompt": False}),
        (everyone, [SYSTEM] + PLAIN[:1], {}), (["deepseek_v3", "deepseek_v31"], [SYSTEM, SYSTEM] + PLAIN, {}),
        (["distill", "deepseek_v31", "qwen3"], THOUGHT, {}), (["qwen3"], THOUGHT[:2], {"add_generation_prompt": False}),
        (["deepseek_v31", "distill"] + CHATML, CALLED, {}), (["deepseek_v31", "distill"] + CHATML, ANSWERED, {}),
        (THINKERS, PLAIN, {"thinking": True}), (THINKERS, PLAIN, {"thinking": False}),
        (CHATML, PLAIN, {"tools": TOOLS}), (CHATML, [SYSTEM] + ANSWERED, {"tools": TOOLS}),
        (["qwen3"], CALLED[:1] + [CALLED[1] | {"content": "Let me see.", "reasoning_content": "A tool helps.\n"}] + CALLED[2:], {}),
    ]


def render(template: object, family: str, messages: list[dict], options: dict) -> str:
    messages = copy.deepcopy(messages)
    for entry in messages:
        for tool_call in entry.get("tool_calls", []):
            if family in CHATML:  # transformers hands over arguments as objects
                tool_call["function"]["arguments"] = json.loads(tool_call["function"]["arguments"])
        if family in DEEPSEEK and "tool_calls" in entry:
            entry["content"] = None
    variables = {"add_generation_prompt": True, "bos_token": BOS.get(family, "<｜begin▁of▁sentence｜>")} | options
    if "thinking" in options:
        variables["enable_thinking"] = options["thinking"]
    return template.render(messages=messages, **variables)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
    lines = []
    for families, messages, options in cases():
        for family in families:
            text = (pathlib.Path(sys.argv[1]) / f"{family}.jinja").read_text()
            rendered = render(environment.from_string(text), family, messages, options)
            lines.append(json.dumps({"family": family, "messages": messages, "options": options, "text": rendered}, ensure_ascii=True))
    OUTPUT.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
