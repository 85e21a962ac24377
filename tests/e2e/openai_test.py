"""The server as clients meet it: the official openai package and plain HTTP against a live `shardline serve` with SmolLM2-135M-Instruct.
    openai_test.py [URL]     of a server that runs already; else starts one: SHARDLINE (the program), SHARDLINE_TEST_MODEL (the model)"""
import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import openai

QUESTION = [{"role": "user", "content": "Name the capital of France."}]
PROMPT = "The capital of France is"
URL = ""


class Server:
    """A `shardline serve` of the test's own, on a port of its own."""

    def __init__(self, *options):
        self.log = tempfile.NamedTemporaryFile("r", suffix=".log")
        with open(self.log.name, "w") as log:
            self.process = subprocess.Popen([os.environ["SHARDLINE"], "serve", os.environ["SHARDLINE_TEST_MODEL"], "--port", "0", *options],
                                            stdout=log, stderr=log)
        while not (found := re.search(r"serving .* on (http://\S+)", self.text())):
            assert self.process.poll() is None, self.text()
            time.sleep(0.05)
        self.url = found[1]

    def text(self):
        self.log.seek(0)
        return self.log.read()

    def end(self, number=signal.SIGTERM, timeout=60):
        self.process.send_signal(number)
        return self.process.wait(timeout)

    def begin_drain(self, number):
        self.process.send_signal(number)
        while http("/readyz", url=self.url)[0] != 503:
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def client(url=None, kind=openai.OpenAI, **options):
    return kind(base_url=(url or URL) + "/v1", api_key="none", timeout=120, **options)


def http(path, body=None, url=None):
    """-> (status, headers, text)"""
    request = urllib.request.Request((url or URL) + path, data=None if body is None else json.dumps(body).encode(),
                                     headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def metric(name, url=None):
    return sum(float(line.rsplit(" ", 1)[1]) for line in http("/metrics", url=url)[2].splitlines() if line.startswith(f"shardline_{name}"))


class Chat(unittest.TestCase):
    def setUp(self):
        self.api = client()
        self.model = self.api.models.list().data[0].id

    def ask(self, **options):
        return self.api.chat.completions.create(**{"model": self.model, "messages": QUESTION, "temperature": 0, "max_tokens": 24, **options})

    def test_answers(self):
        answer = self.ask()
        self.assertIn("Paris", answer.choices[0].message.content)
        self.assertEqual(answer.choices[0].message.role, "assistant")
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.object, "chat.completion")
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)

    def test_the_second_time_the_prompt_is_cached(self):
        messages = [{"role": "user", "content": "Tell me a story about a cat that lived in a house by the sea, please."}]
        first, second = self.ask(messages=messages), self.ask(messages=messages)
        self.assertGreater(second.usage.prompt_tokens_details.cached_tokens, 0)
        self.assertEqual(second.choices[0].message.content, first.choices[0].message.content)

    def test_a_stream_says_the_same(self):
        chunks = list(self.ask(stream=True, stream_options={"include_usage": True}))
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        whole = self.ask()
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        self.assertEqual(chunks[-1].usage.completion_tokens, whole.usage.completion_tokens)
        self.assertTrue(all(c.usage is None for c in chunks[:-1]))
        self.assertEqual([c.choices[0].finish_reason for c in chunks if c.choices][-1], "stop")

    def test_lengths(self):
        for field in ("max_tokens", "max_completion_tokens"):
            answer = self.ask(**{"max_tokens": openai.NOT_GIVEN, field: 3})
            self.assertEqual((answer.usage.completion_tokens, answer.choices[0].finish_reason), (3, "length"))

    def test_seeds(self):
        def sample(seed):
            return self.ask(temperature=1, seed=seed, max_tokens=16, messages=[{"role": "user", "content": "Make up a name."}]).choices[0].message.content

        self.assertEqual(sample(7), sample(7))
        self.assertGreater(len({sample(seed) for seed in range(6)}), 1)

    def test_choices(self):
        answer = self.ask(n=4, temperature=1, seed=1, messages=[{"role": "user", "content": "Write a poem."}])
        self.assertEqual([c.index for c in answer.choices], [0, 1, 2, 3])
        self.assertGreater(len({c.message.content for c in answer.choices}), 1)
        streamed = [""] * 4
        for chunk in self.ask(n=4, temperature=1, seed=1, stream=True, messages=[{"role": "user", "content": "Write a poem."}]):
            for choice in chunk.choices:
                streamed[choice.index] += choice.delta.content or ""
        self.assertEqual(streamed, [c.message.content for c in answer.choices])

    def test_logprobs(self):
        answer = self.ask(logprobs=True, top_logprobs=5)
        tokens = answer.choices[0].logprobs.content
        self.assertEqual(len(tokens), answer.usage.completion_tokens)
        for token in tokens:
            self.assertEqual(token.top_logprobs[0].token, token.token)  # greedy takes the best
            values = [t.logprob for t in token.top_logprobs]
            self.assertEqual((len(values), values), (5, sorted(values, reverse=True)))
            self.assertLessEqual(token.logprob, 0)
        text = b"".join(bytes(t.bytes) for t in tokens).decode()
        self.assertTrue(text.startswith(answer.choices[0].message.content))

    def test_special_tokens_of_a_user_are_text(self):
        few = self.ask(messages=[{"role": "user", "content": "x"}]).usage.prompt_tokens
        many = self.ask(messages=[{"role": "user", "content": "x<|im_end|>"}]).usage.prompt_tokens
        self.assertGreater(many, few + 1)

    def test_content_in_parts(self):
        parts = self.ask(messages=[{"role": "user", "content": [{"type": "text", "text": QUESTION[0]["content"]}]}])
        self.assertEqual(parts.choices[0].message.content, self.ask().choices[0].message.content)


class Completions(unittest.TestCase):
    def setUp(self):
        self.api = client()
        self.model = self.api.models.list().data[0].id

    def ask(self, prompt=PROMPT, **options):
        return self.api.completions.create(**{"model": self.model, "prompt": prompt, "temperature": 0, "max_tokens": 12, **options})

    def test_every_form_of_prompt(self):
        text = self.ask().choices[0].text
        ids = json.loads(http("/tokenize", {"prompt": PROMPT})[2])["tokens"]
        self.assertIn("Paris", text)
        self.assertEqual(self.ask(ids).choices[0].text, text)
        self.assertEqual([c.text for c in self.ask([PROMPT, PROMPT]).choices], [text, text])
        self.assertEqual([c.text for c in self.ask([ids, ids]).choices], [text, text])
        self.assertEqual(self.ask(max_tokens=openai.NOT_GIVEN).usage.completion_tokens, 16)

    def test_token_ids_are_told_where_asked(self):
        choice = self.ask(extra_body={"return_token_ids": True}).choices[0]
        self.assertEqual(json.loads(http("/detokenize", {"tokens": choice.token_ids})[2])["prompt"], choice.text)
        self.assertEqual(choice.prompt_token_ids, json.loads(http("/tokenize", {"prompt": PROMPT})[2])["tokens"])

    def test_stop_strings(self):
        whole = self.ask("1 2 3 4 5 6", max_tokens=24).choices[0].text
        for stop in (" 9", ["zzz", "1"], "\n"):
            choice = self.ask("1 2 3 4 5 6", max_tokens=24, stop=stop).choices[0]
            cut = min((whole.find(s) for s in ([stop] if isinstance(stop, str) else stop) if s in whole), default=len(whole))
            self.assertEqual(choice.text, whole[:cut])
            streamed = "".join(c.choices[0].text for c in self.ask("1 2 3 4 5 6", max_tokens=24, stop=stop, stream=True))
            self.assertEqual(streamed, choice.text)

    def test_special_tokens_written_in_a_prompt_count(self):
        self.assertEqual(json.loads(http("/tokenize", {"prompt": "<|im_end|>"})[2])["count"], 1)

    def test_ignore_eos(self):
        answer = self.ask("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", max_tokens=60, extra_body={"ignore_eos": True})
        self.assertEqual((answer.usage.completion_tokens, answer.choices[0].finish_reason), (60, "length"))

    def test_logprobs(self):
        answer = self.ask(logprobs=2)
        logprobs = answer.choices[0].logprobs
        self.assertEqual("".join(logprobs.tokens), answer.choices[0].text)
        self.assertEqual([answer.choices[0].text[at:at + len(t)] for at, t in zip(logprobs.text_offset, logprobs.tokens)], logprobs.tokens)
        for value, token, top in zip(logprobs.token_logprobs, logprobs.tokens, logprobs.top_logprobs):
            self.assertEqual((top[token], len(top)), (value, 2))

    def test_many_at_once_answer_as_alone(self):
        prompts = [f"{i} plus {i} is" for i in range(24)]
        alone = [self.ask(p).choices[0].text for p in prompts]

        async def all_at_once():
            async with client(kind=openai.AsyncOpenAI) as api:
                async def one(i, prompt):
                    stream = await api.completions.create(model=self.model, prompt=prompt, temperature=0, max_tokens=12, stream=True)
                    return "".join([c.choices[0].text async for c in stream])
                return await asyncio.gather(*(one(i, p) for i, p in enumerate(prompts)))

        self.assertEqual(asyncio.run(all_at_once()), alone)


class Errors(unittest.TestCase):
    def test_fields_are_named(self):
        api = client()
        for options, param in (({"temperature": 3}, "temperature"), ({"top_p": 0}, "top_p"), ({"n": 1000}, "n"), ({"max_tokens": -1}, "max_tokens"),
                               ({"presence_penalty": 1}, "presence_penalty"), ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
                               ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
                                "messages[0].content[0].type"), ({"stop": ["x"] * 20}, "stop"), ({"messages": []}, "messages")):
            with self.subTest(param), self.assertRaises(openai.BadRequestError) as caught:
                api.chat.completions.create(**{"model": "", "messages": QUESTION, **options})
            self.assertEqual((caught.exception.param, caught.exception.type), (param, "invalid_request_error"))

    def test_the_context_is_bounded(self):
        limit = json.loads(http("/v1/models")[2])["data"][0]["max_model_len"]
        with self.assertRaises(openai.BadRequestError) as caught:
            client().completions.create(model="", prompt="x", max_tokens=limit)
        self.assertEqual((caught.exception.code, caught.exception.param), ("context_length_exceeded", "max_tokens"))
        with self.assertRaises(openai.BadRequestError) as caught:
            client().completions.create(model="", prompt="word " * limit)
        self.assertEqual(caught.exception.code, "context_length_exceeded")

    def test_other_models_are_not_here(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            client().chat.completions.create(model="gpt-4", messages=QUESTION)
        self.assertEqual(caught.exception.code, "model_not_found")

    def test_routes(self):
        self.assertEqual(http("/v1/embeddings", {})[0], 404)
        status, headers, _ = http("/v1/completions")
        self.assertEqual((status, headers["Allow"]), (405, "POST"))


class Operations(unittest.TestCase):
    def test_health(self):
        for path in ("/health", "/livez", "/readyz"):
            self.assertEqual(http(path)[0], 200)
        self.assertIn("kernels", json.loads(http("/version")[2]))

    def test_the_model_has_the_name_of_its_file(self):
        self.assertEqual(client().models.list().data[0].id, os.path.basename(os.environ["SHARDLINE_TEST_MODEL"]).removesuffix(".gguf"))

    def test_metrics_count_requests(self):
        before = {m: metric(m) for m in ("generation_tokens_total", "e2e_request_latency_seconds_count", "time_to_first_token_seconds_count")}
        client().completions.create(model="", prompt=PROMPT, max_tokens=5, temperature=0)
        after = {m: metric(m) - v for m, v in before.items()}
        self.assertEqual(list(after.values()), [5, 1, 1])

    def test_a_client_that_leaves_is_cancelled(self):
        before = metric('request_success_total{engine="0",finished_reason="abort"')
        stream = client().completions.create(model="", prompt="Once", max_tokens=2000, stream=True, extra_body={"ignore_eos": True})
        next(iter(stream))
        stream.close()
        deadline = time.monotonic() + 10
        while metric('request_success_total{engine="0",finished_reason="abort"') == before or metric("kv_cache_usage_perc") > 0:
            self.assertLess(time.monotonic(), deadline, "the request still runs")
            time.sleep(0.02)
        self.assertEqual(metric("num_requests_running"), 0)


class Ends(unittest.TestCase):
    """How a server ends. Each test starts its own."""

    def setUp(self):
        if "SHARDLINE" not in os.environ:
            self.skipTest("SHARDLINE is not set: a server that runs already is not ended")

    def test_a_drain_lets_streams_finish(self):
        with Server() as server:
            stream = client(server.url).completions.create(model="", prompt="Once", max_tokens=100, stream=True, extra_body={"ignore_eos": True})
            next(iter(stream))
            server.begin_drain(signal.SIGTERM)
            with self.assertRaises(openai.InternalServerError) as caught:
                client(server.url, max_retries=0).completions.create(model="", prompt="x")
            self.assertEqual((caught.exception.status_code, "retry-after" in caught.exception.response.headers), (503, True))
            self.assertEqual(list(stream)[-1].choices[0].finish_reason, "length")
            self.assertEqual(server.process.wait(30), 0)

    def test_a_drain_that_takes_too_long_ends_streams_with_an_error(self):
        with Server("--shutdown-timeout", "0") as server:
            stream = client(server.url).completions.create(model="", prompt="Once", max_tokens=4000, stream=True, extra_body={"ignore_eos": True})
            next(iter(stream))
            server.process.send_signal(signal.SIGINT)
            with self.assertRaises(openai.APIError) as caught:
                list(stream)
            self.assertIn("shutting down", str(caught.exception))
            self.assertEqual(server.process.wait(30), 0)

    def test_a_second_signal_ends_at_once(self):
        with Server() as server:
            stream = client(server.url).completions.create(model="", prompt="Once", max_tokens=4000, stream=True, extra_body={"ignore_eos": True})
            next(iter(stream))
            server.begin_drain(signal.SIGINT)
            server.process.send_signal(signal.SIGINT)
            with self.assertRaises(openai.APIError) as caught:
                list(stream)
            self.assertIn("shutting down", str(caught.exception))
            self.assertEqual(server.process.wait(10), 128 + signal.SIGINT)
            self.assertIn("ended by a second signal", server.text())

    def test_a_busy_port_names_its_holder(self):
        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = holder.getsockname()[1]
            done = subprocess.run([os.environ["SHARDLINE"], "serve", os.environ["SHARDLINE_TEST_MODEL"], "--port", str(port)], capture_output=True,
                                  text=True, timeout=60)
        self.assertEqual(done.returncode, 69)
        self.assertIn(f"in use by pid {os.getpid()} (", done.stderr)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].startswith("http"):
        URL = sys.argv.pop(1)
        unittest.main()
    with Server() as running:
        URL = running.url
        result = unittest.main(exit=False).result
        status = running.end()
        sys.exit(0 if result.wasSuccessful() and status == 0 else 1)
