#!/usr/bin/env python3
"""The clients that people use against `minke serve`: the PyPI packages openai, anthropic and langchain-openai, schemathesis for
/openapi.json, lm-eval for log-likelihoods, and the npm package openai where NODE_PATH has it. serve_clients.sh runs it.

    serve_clients.py MINKE SOURCE_FOLDER

A tiny model with random weights is made in a temporary folder. Exit code 77: a needed package is missing.
"""
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import typing
import unittest
import urllib.request

try:
    import anthropic
    import openai
    import pydantic
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

MINKE, SOURCE = os.path.abspath(sys.argv[1]), sys.argv[2]
SCHEMA = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"], "additionalProperties": False}


def minke(folder, *arguments, **more):
    return subprocess.run([MINKE, "--quiet", "--threads", "1", *arguments], cwd=folder, check=True, **more)


def make_model(folder):
    shutil.copy(f"{SOURCE}/tests/tiny_model.toml", f"{folder}/recipe.toml")
    shutil.copytree(f"{SOURCE}/tests/golden/tokenizer_small", f"{folder}/tokenizer")
    with open(f"{folder}/corpus.jsonl", "w") as corpus:
        for i in range(40):
            corpus.write(json.dumps({"text": f"{i} ships and {3 * i} whales in the sea, {i % 7} seen"}) + "\n")
    minke(folder, "data", "prepare", "--input", "corpus.jsonl", "--tokenizer", "tokenizer", "--output", "data",
          "--validation-fraction", "0.1", "--near-duplicates", "off")
    minke(folder, "train", "recipe.toml", "--set", "model.max_position_embeddings=2048")


def post_json(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="minke-serve-clients-")
        make_model(cls.folder)
        cls.server = subprocess.Popen([MINKE, "--threads", "1", "serve", "run", "--port", "0"], cwd=cls.folder,
                                      stdout=subprocess.PIPE, stderr=open(f"{cls.folder}/log", "w"), text=True)
        cls.base = f"http://127.0.0.1:{int(cls.server.stdout.readline())}"
        cls.openai = openai.OpenAI(base_url=cls.base + "/v1", api_key="none", max_retries=0)
        cls.anthropic = anthropic.Anthropic(base_url=cls.base, api_key="none", max_retries=0)

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        assert cls.server.wait(60) == 0
        shutil.rmtree(cls.folder)

    def test_chat(self):
        ask = dict(model="run", messages=[{"role": "user", "content": "whales"}], max_tokens=10, temperature=0)
        whole = self.openai.chat.completions.create(**ask)
        pieces = list(self.openai.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
        text = "".join(p.choices[0].delta.content or "" for p in pieces if p.choices)
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(pieces[-1].usage.completion_tokens, 10)
        scores = self.openai.chat.completions.create(**ask, logprobs=True, top_logprobs=3).choices[0].logprobs
        self.assertEqual(len(scores.content), 10)
        self.assertEqual(len(scores.content[0].top_logprobs), 3)

    def test_thinking_comes_first(self):
        ask = dict(model="deepseek-reasoner", messages=[{"role": "user", "content": "whales"}], max_tokens=30, stream=True,
                   extra_body={"thinking_budget": 6})
        kinds = []
        for piece in self.openai.chat.completions.create(**ask):
            delta = piece.choices[0].delta
            if getattr(delta, "reasoning_content", None):
                kinds.append("reasoning")
            elif delta.content:
                kinds.append("content")
        self.assertEqual(kinds, sorted(kinds, reverse=True))
        self.assertIn("reasoning", kinds)

    def test_tools_and_schemas(self):
        tool = {"type": "function", "function": {"name": "find", "description": "d", "strict": True, "parameters": SCHEMA}}
        ask = dict(model="run", messages=[{"role": "user", "content": "whales"}], max_tokens=400, seed=4,
                   tools=[tool], tool_choice="required", parallel_tool_calls=False)
        call = self.openai.chat.completions.create(**ask).choices[0].message.tool_calls[0]
        self.assertEqual(call.function.name, "find")
        self.assertIn(json.loads(call.function.arguments)["a"], ("x", "y"))
        result = [{"role": "user", "content": "whales"},
                  {"role": "assistant", "content": None, "tool_calls": [call.model_dump()]},
                  {"role": "tool", "tool_call_id": call.id, "content": "three"}]
        after = self.openai.chat.completions.create(model="run", messages=result, max_tokens=3, tools=[tool])
        self.assertEqual(after.usage.completion_tokens, 3)
        shaped = self.openai.chat.completions.create(
            model="run", messages=[{"role": "user", "content": "whales"}], max_tokens=400, seed=1,
            response_format={"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": SCHEMA}})
        self.assertIn(json.loads(shaped.choices[0].message.content)["a"], ("x", "y"))

        class Shape(pydantic.BaseModel):
            a: typing.Literal["x", "y"]
        parsed = self.openai.chat.completions.parse(model="run", messages=[{"role": "user", "content": "whales"}], max_tokens=400,
                                                    seed=1, response_format=Shape)
        self.assertIn(parsed.choices[0].message.parsed.a, ("x", "y"))

    def test_langchain(self):
        try:
            import langchain_openai
        except ImportError as error:
            self.skipTest(error)

        class Find(pydantic.BaseModel):
            """Finds."""
            a: typing.Literal["x", "y"]
        make = functools.partial(langchain_openai.ChatOpenAI, model="run", base_url=self.base + "/v1", api_key="none", max_retries=0)
        chat = make(temperature=0, max_tokens=10)
        whole = chat.invoke("whales")
        self.assertEqual("".join(piece.content for piece in chat.stream("whales")), whole.content)
        self.assertEqual([answer.content for answer in chat.batch(["whales", "whales"])], [whole.content] * 2)
        self.assertEqual(whole.usage_metadata["output_tokens"], 10)
        long = make(max_tokens=400, seed=4)
        call = long.bind_tools([Find], tool_choice="Find", strict=True, parallel_tool_calls=False).invoke("whales").tool_calls[0]
        self.assertEqual(call["name"], "Find")
        self.assertIn(call["args"]["a"], ("x", "y"))
        self.assertIn(long.with_structured_output(Find, method="json_schema", strict=True).invoke("whales").a, ("x", "y"))
        embed = langchain_openai.OpenAIEmbeddings(model="run", base_url=self.base + "/v1", api_key="none",
                                                  check_embedding_ctx_length=False)  # else it sends OpenAI's token ids
        self.assertEqual(embed.embed_documents(["whales", "ships"])[0], embed.embed_query("whales"))

    def test_embeddings(self):
        texts = ["ships and whales", "7 seen", "ships and whales"]
        ask = functools.partial(self.openai.embeddings.create, model="run")
        answer = ask(input=texts)  # as base64, which the client unpacks
        vectors = [entry.embedding for entry in answer.data]
        self.assertEqual([entry.index for entry in answer.data], [0, 1, 2])
        self.assertEqual([len(vector) for vector in vectors], [32] * 3)
        self.assertAlmostEqual(sum(x * x for x in vectors[0]), 1, delta=1e-5)
        self.assertEqual(vectors[0], vectors[2])
        self.assertNotEqual(vectors[0], vectors[1])
        plain = ask(input=texts[1], encoding_format="float", dimensions=32)
        for one, other in zip(plain.data[0].embedding, vectors[1]):
            self.assertAlmostEqual(one, other, delta=1e-7)
        ids = post_json(self.base + "/tokenize", {"content": texts[0]})["tokens"]
        self.assertEqual([entry.embedding for entry in ask(input=[ids, ids]).data], [vectors[0]] * 2)
        self.assertEqual(ask(input=ids).data[0].embedding, vectors[0])
        self.assertEqual(answer.usage.prompt_tokens, answer.usage.total_tokens)
        self.assertEqual(ask(input=ids).usage.total_tokens, len(ids))
        for wrong, kind in ((dict(input=""), openai.BadRequestError), (dict(input=["x", ""]), openai.BadRequestError),
                            (dict(input=[[]]), openai.BadRequestError), (dict(input=[99999]), openai.BadRequestError),
                            (dict(input="x" * 100000), openai.BadRequestError), (dict(input=["x"] * 2049), openai.UnprocessableEntityError),
                            (dict(input="x", dimensions=8), openai.UnprocessableEntityError)):
            with self.assertRaises(kind):
                ask(**wrong)

    def test_errors(self):
        user = [{"role": "user", "content": "x"}]
        with self.assertRaises(openai.NotFoundError):
            self.openai.chat.completions.create(model="nothing", messages=user)
        with self.assertRaises(openai.UnprocessableEntityError):
            self.openai.chat.completions.create(model="run", messages=user, n=1000)
        with self.assertRaises(openai.BadRequestError):
            self.openai.chat.completions.create(model="run", messages=[])
        with self.assertRaises(anthropic.NotFoundError):
            self.anthropic.messages.create(model="nothing", messages=user, max_tokens=3)

    def test_completions(self):
        whole = self.openai.completions.create(model="run", prompt="whales", max_tokens=6, temperature=0, echo=True, logprobs=2)
        self.assertTrue(whole.choices[0].text.startswith("whales"))
        self.assertIsNone(whole.choices[0].logprobs.token_logprobs[0])
        text = "".join(p.choices[0].text for p in self.openai.completions.create(
            model="run", prompt="whales", max_tokens=6, temperature=0, stream=True))
        self.assertEqual("whales" + text, whole.choices[0].text)
        self.assertIn("run", [m.id for m in self.openai.models.list()])
        self.assertEqual(self.openai.models.retrieve("run").id, "run")
        with self.assertRaises(openai.NotFoundError):
            self.openai.models.retrieve("nothing")

    def test_responses(self):
        whole = self.openai.responses.create(model="run", input="whales", max_output_tokens=20, temperature=0)
        self.assertEqual(whole.status, "incomplete")
        events = list(self.openai.responses.create(model="run", input="whales", max_output_tokens=20, temperature=0, stream=True))
        self.assertEqual(events[0].type, "response.created")
        self.assertEqual(events[-1].response.output_text, whole.output_text)
        deltas = "".join(e.delta for e in events if e.type == "response.output_text.delta")
        self.assertEqual(deltas, whole.output_text)
        self.assertEqual([e.sequence_number for e in events], list(range(len(events))))
        tool = {"type": "function", "name": "find", "parameters": SCHEMA, "strict": True}
        called = self.openai.responses.create(model="run", input="whales", max_output_tokens=400, tools=[tool],
                                              tool_choice="required", parallel_tool_calls=False, extra_body={"seed": 4})
        self.assertEqual(called.output[-1].name, "find")
        again = self.openai.responses.create(model="run", max_output_tokens=3, input=[
            {"role": "user", "content": "whales"}, called.output[-1].model_dump(),
            {"type": "function_call_output", "call_id": called.output[-1].call_id, "output": "three"}])
        self.assertEqual(again.usage.output_tokens, 3)
        self.assertEqual((called.status, called.output[-1].status), ("completed", "completed"))
        half = dict(model="run", input="whales", tools=[tool], tool_choice="required", parallel_tool_calls=False, extra_body={"seed": 4},
                    max_output_tokens=called.usage.output_tokens - 4)
        for answer in (self.openai.responses.create(**half), list(self.openai.responses.create(**half, stream=True))[-1].response):
            self.assertEqual((answer.status, answer.output[-1].type, answer.output[-1].status), ("incomplete", "function_call", "incomplete"))
        with self.assertRaisesRegex(openai.UnprocessableEntityError, "max_output_tokens"):
            self.openai.responses.create(model="run", input="whales", max_output_tokens=-1)

    def test_messages(self):
        ask = dict(model="run", messages=[{"role": "user", "content": "whales"}], max_tokens=20, extra_body={"temperature": 0})
        whole = self.anthropic.messages.create(**ask)
        self.assertEqual(whole.stop_reason, "max_tokens")
        with self.anthropic.messages.stream(**ask) as stream:
            streamed = stream.get_final_message()
        self.assertEqual([block.text for block in streamed.content], [block.text for block in whole.content])
        self.assertEqual(streamed.usage.output_tokens, whole.usage.output_tokens)
        count = self.anthropic.messages.count_tokens(model="run", messages=ask["messages"]).input_tokens
        self.assertEqual(whole.usage.input_tokens + whole.usage.cache_read_input_tokens, count)
        longer = self.anthropic.messages.count_tokens(model="run", messages=ask["messages"], system="Answer shortly.")
        self.assertGreater(longer.input_tokens, count)
        start = next(iter(self.anthropic.messages.create(**ask, stream=True)))
        self.assertEqual((start.type, start.message.usage.input_tokens), ("message_start", count))
        with self.assertRaisesRegex(anthropic.UnprocessableEntityError, "stop_sequences"):
            self.anthropic.messages.create(**ask, stop_sequences=["x"] * 20)
        thought = self.anthropic.messages.create(model="run", messages=[{"role": "user", "content": "whales"}], max_tokens=40,
                                                 thinking={"type": "enabled", "budget_tokens": 5})
        self.assertEqual(thought.content[0].type, "thinking")
        tool = {"name": "find", "input_schema": SCHEMA, "strict": True}
        user = {"role": "user", "content": [{"type": "text", "text": "whales"}]}
        call = self.anthropic.messages.create(model="run", messages=[user], max_tokens=800, tools=[tool], extra_body={"temperature": 0},
                                              tool_choice={"type": "tool", "name": "find", "disable_parallel_tool_use": True})
        self.assertEqual((call.stop_reason, call.content[-1].name), ("tool_use", "find"))
        self.assertIn(call.content[-1].input["a"], ("x", "y"))
        after = self.anthropic.messages.create(model="run", max_tokens=3, tools=[tool], messages=[
            user, {"role": "assistant", "content": [call.content[-1].model_dump()]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.content[-1].id, "content": "three"}]}])
        self.assertEqual(after.usage.output_tokens, 3)

    def score(self, ids):
        """What `minke score` says of the tokens; the first has no log-probability."""
        score = minke(self.folder, "score", "run", "--ids", ",".join(map(str, ids)), capture_output=True, text=True)
        return [line["logprob"] for line in map(json.loads, score.stdout.splitlines()) if "logprob" in line]

    def test_lm_eval_agrees_with_score(self):
        os.environ |= {"HF_HOME": f"{self.folder}/huggingface", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
        try:
            import lm_eval
            import tenacity  # noqa: F401
            import transformers
            from lm_eval.evaluator import simple_evaluate
        except ImportError as error:
            self.skipTest(str(error))
        lines = [{"context": "ships and", "text": " whales in the sea"}, {"context": "7 ships", "text": " seen"},
                 {"context": "in the", "text": " sea, 3 seen"}]
        with open(f"{self.folder}/task.jsonl", "w") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        task = {"task": "ships", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": f"{self.folder}/task.jsonl"}},
                "test_split": "test", "output_type": "loglikelihood", "doc_to_text": "{{context}}", "doc_to_target": "{{text}}",
                "target_delimiter": "", "metric_list": [{"metric": "perplexity"}, {"metric": "acc"}]}
        result = simple_evaluate(model="local-completions", tasks=[task], batch_size=2, log_samples=True, bootstrap_iters=0, model_args={
            "model": "run", "base_url": self.base + "/v1/completions", "tokenizer": f"{self.folder}/tokenizer",
            "tokenizer_backend": "huggingface", "num_concurrent": 1})
        tokenizer = transformers.AutoTokenizer.from_pretrained(f"{self.folder}/tokenizer")
        samples = result["samples"]["ships"]
        self.assertEqual(len(samples), 3, lm_eval.__version__)
        for sample in samples:
            line = sample["doc"]
            ids, context = tokenizer.encode(line["context"] + line["text"]), tokenizer.encode(line["context"])
            expected = sum(self.score(ids)[len(context):len(ids)])
            self.assertAlmostEqual(float(sample["filtered_resps"][0][0]), expected, delta=1e-4)

    def test_openapi_is_true(self):
        try:
            import schemathesis  # noqa: F401
        except ImportError as error:
            self.skipTest(str(error))
        schemathesis_program = shutil.which("schemathesis", path=f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}")
        run = subprocess.run([schemathesis_program, "run", self.base + "/openapi.json", "--max-examples", "12", "--seed", "3",
                              "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,"
                              "response_schema_conformance", "--no-color"], cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stdout[-4000:] + run.stderr[-2000:])

    def test_npm_openai(self):
        if not shutil.which("node") or subprocess.run(["node", "-e", "require('openai'), require('zod')"], capture_output=True).returncode:
            self.skipTest("node has no package openai, or no zod")
        run = subprocess.run(["node", f"{SOURCE}/tests/clients/npm_openai.cjs", self.base], capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
