"""The commands as a user meets them, on the real model: what they print, how they end, and that no way of running changes a bit.
Needs SHARDLINE (the program) and SHARDLINE_TEST_MODEL (SmolLM2-135M-Instruct, Q4_1)."""
import json
import os
import pathlib
import pty
import subprocess
import tempfile
import unittest

PROGRAM, MODEL = os.environ["SHARDLINE"], os.environ["SHARDLINE_TEST_MODEL"]
SLOW = "SHARDLINE_TEST_SANITIZED" in os.environ
GPL = pathlib.Path("/usr/share/common-licenses/GPL-3")
PROMPT = "The capital of France is"
MPI = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_rmaps_base_oversubscribe="1")


def run(*arguments, status=0, ranks=0, stdin="", timeout=300):
    """Runs the program, under mpirun where `ranks` says so -> (standard output, standard error)"""
    command = [PROGRAM, *(a if isinstance(a, bytes) else str(a) for a in arguments)]
    if ranks:
        command = ["mpirun", "--bind-to", "none", "-np", str(ranks), *command]
    done = subprocess.run(command, input=stdin, text=True, capture_output=True, timeout=timeout, env=MPI)
    assert done.returncode == status, f"{command}: status {done.returncode}, not {status}\n{done.stdout}\n{done.stderr}"
    return done.stdout, done.stderr


def generate(*arguments, **keywords):
    return json.loads(run("generate", MODEL, "--max-tokens", 12, "--json", *arguments, **keywords)[0])


class Generate(unittest.TestCase):
    def test_no_way_of_running_changes_a_bit(self):
        for table in json.loads(run("version", "--json")[0])["kernels"]:
            if SLOW and table == "scalar":
                continue
            plain = generate("--prompt", PROMPT, "--kernels", table, "--threads", 1)
            self.assertEqual(plain["kernels"], table)
            self.assertEqual(len(plain["token_ids"]), plain["completion_tokens"])
            ways = [(("--threads", 2), {}), (("--tp", 2), {}), (("--tp", 3, "--pp", 2), {}), (("--pp", 3, "--pp-layers", "1,20,9"), {}),
                    (("--max-num-batched-tokens", 3), {}), (("--tp", 2, "--pp", 2), {"ranks": 4})]
            if SLOW:
                ways = ways[1:3]
            for options, keywords in ways:
                with self.subTest(table=table, options=options, **keywords):
                    other = generate("--prompt", PROMPT, "--kernels", table, *options, **keywords)
                    self.assertEqual((other["token_ids"], other["logits_hash"]), (plain["token_ids"], plain["logits_hash"]))

    def test_seeds(self):
        first, again, other = (generate("--prompt", PROMPT, "--temperature", 1, "--seed", seed) for seed in (1, 1, 2))
        self.assertEqual(first["token_ids"], again["token_ids"])
        self.assertNotEqual(first["token_ids"], other["token_ids"])
        self.assertEqual(first["seed"], 1)

    def test_prompts_from_everywhere_are_the_same(self):
        text = generate("--prompt", PROMPT)
        self.assertEqual(generate(stdin=PROMPT)["logits_hash"], text["logits_hash"])
        chat = generate("--prompt", "Hi", "--chat")
        raw = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
        self.assertEqual(generate("--prompt", raw)["logits_hash"], chat["logits_hash"])

    def test_stop_strings(self):
        text = generate("--prompt", PROMPT)["text"]
        word = text.split()[1]
        self.assertEqual(generate("--prompt", PROMPT, "--stop", word)["text"], text[: text.index(word)])

    def test_text_streams_to_standard_output(self):
        out, err = run("generate", MODEL, "--prompt", PROMPT, "--max-tokens", 12)
        self.assertEqual(out, generate("--prompt", PROMPT)["text"] + "\n")
        self.assertRegex(err, r"\w+ kernels")
        self.assertRegex(err, r"[\d.]+ tokens/s")

    def test_a_conversation_on_a_terminal(self):
        screen, terminal = pty.openpty()
        with subprocess.Popen([PROGRAM, "generate", MODEL, "--max-tokens", "8"], stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as talk:
            os.write(screen, b"Hello!\nAnd again?\n\x04")
            out, _ = talk.communicate(timeout=120)
        os.close(screen)
        os.close(terminal)
        self.assertEqual(talk.returncode, 0)
        self.assertEqual(len(out.decode().strip().splitlines()), 2)


class Reports(unittest.TestCase):
    @unittest.skipUnless(GPL.exists(), "needs Debian's text of the GPL")
    @unittest.skipIf(SLOW, "the arithmetic is covered elsewhere; this is 7,000 tokens")
    def test_perplexity(self):
        plain = json.loads(run("perplexity", MODEL, GPL, "--json")[0])
        self.assertAlmostEqual(plain["perplexity"] / 18.30, 1, delta=0.01)
        self.assertEqual(plain["tokens"], 255 * plain["windows"])
        staged = json.loads(run("perplexity", MODEL, GPL, "--json", "--tp", 2, "--pp", 2)[0])
        self.assertEqual(staged["perplexity"], plain["perplexity"])

    def test_inspect(self):
        report = json.loads(run("inspect", MODEL, "--tp", 2, "--pp", 2, "--json", "--tensors")[0])
        self.assertEqual((report["config"]["layers"], report["max_tp"], report["ffn_leaves"]), (30, 9, 16))
        self.assertEqual([rank["query_heads"] for rank in report["ranks"]], [[0, 4], [4, 9]] * 2)
        self.assertEqual(report["ranks"][0]["layers"][1], report["ranks"][2]["layers"][0])
        self.assertEqual(len(report["tensors"]), 272)
        self.assertIn("9 of attention", run("inspect", MODEL)[0])
        self.assertIn("weights MiB  buffers MiB    KV MiB", run("inspect", MODEL)[0])

    def test_inspect_loads_no_weights(self):
        def rss(*arguments):
            return int(subprocess.run(["python3", "-c", "import resource,subprocess,sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True);"
                                       "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)", PROGRAM, *arguments],
                                      text=True, capture_output=True, check=True).stdout)
        if not SLOW:
            self.assertLess(rss("inspect", MODEL) - rss("version"), 48 * 1024)

    def test_bench(self):
        report = json.loads(run("bench", MODEL, "--json", "--prefill", 64, "--batch", 3, "--context", 16, "--steps", 4, "--repeat", 1, "--tp", 2)[0])
        self.assertGreater(report["prefill"]["tokens_per_second"], 0)
        self.assertGreater(report["decode"]["tokens_per_second"], 0)

    def test_the_machine_is_measured_for_the_kernels_that_run(self):
        for table in json.loads(run("version", "--json")[0])["kernels"]:
            report = json.loads(run("bench", "--machine", "--json", "--kernels", table)[0])
            self.assertEqual(report["kernels"], table)
            self.assertEqual(report["read_gbps"].keys(), report["arithmetic"].keys())
            self.assertGreater(min(report["read_gbps"].values()), 0)
            for rates in report["arithmetic"].values():
                self.assertEqual(rates["int8_gops"] > 0, table != "scalar")


class Synthesize(unittest.TestCase):
    def test_a_file_of_any_shape_loads_and_generates(self):
        with tempfile.TemporaryDirectory() as folder:
            first, again, other = (os.path.join(folder, name) for name in ("first.gguf", "again.gguf", "other.gguf"))
            for path, seed in ((first, 1), (again, 1), (other, 2)):
                run("synthesize", path, "--shape", "tiny,layers=3,kv-heads=1", "--tokenizer", MODEL, "--seed", seed)
            self.assertEqual(sorted(os.listdir(folder)), ["again.gguf", "first.gguf", "other.gguf"])
            report = json.loads(run("inspect", first, "--json", "--tensors")[0])
            self.assertEqual({key: report["config"][key] for key in ("layers", "dim", "ffn", "query_heads", "kv_heads", "head_dim", "vocab", "tied_embeddings")},
                             {"layers": 3, "dim": 256, "ffn": 512, "query_heads": 4, "kv_heads": 1, "head_dim": 64, "vocab": 49152, "tied_embeddings": True})
            self.assertEqual({tensor["type"] for tensor in report["tensors"]}, {"F16", "F32"})
            answers = [json.loads(run("generate", path, "--prompt", PROMPT, "--max-tokens", 4, "--ignore-eos", "--json")[0]) for path in (first, again, other)]
            self.assertEqual(len(answers[0]["token_ids"]), 4)
            self.assertEqual(answers[0]["logits_hash"], answers[1]["logits_hash"])
            self.assertNotEqual(answers[0]["logits_hash"], answers[2]["logits_hash"])
            bench = json.loads(run("bench", first, "--json", "--prefill", 32, "--steps", 4, "--repeat", 1)[0])
            self.assertGreater(bench["decode"]["tokens_per_second"], 0)

    def test_a_file_that_is_there_stays(self):
        with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
            self.assertIn("--force", run("synthesize", file.name, "--shape", "tiny", "--tokenizer", MODEL, status=78)[1])
            self.assertEqual(os.path.getsize(file.name), 0)
            run("synthesize", file.name, "--shape", "tiny", "--tokenizer", MODEL, "--force")
            self.assertGreater(os.path.getsize(file.name), 1 << 20)


class Endings(unittest.TestCase):
    def test_each_mistake_has_its_status_and_line(self):
        typo = MODEL.replace("SmolLM2", "SmolML2")
        for arguments, status, text, keywords in [
            (["generate", MODEL, "--temprature", 0], 64, "did you mean --temperature", {}),
            (["generate", typo], 66, pathlib.Path(MODEL).name, {}),
            (["generate", typo, "--tp", 2], 66, pathlib.Path(MODEL).name, {"ranks": 2}),
            (["generate", MODEL, "--tp", 12, "--prompt", "x"], 78, "9 attention leaves", {}),
            (["generate", MODEL, "--tp", 2, "--prompt", "x"], 78, "there are 3", {"ranks": 3}),
            (["generate", MODEL, "--kernels", "abacus", "--prompt", "x"], 78, "abacus", {}),
            (["generate", MODEL, "--pp", 2, "--pp-layers", "1,1", "--prompt", "x"], 78, "--pp-layers", {}),
            (["generate", MODEL, "--max-model-len", 8192, "--kv-cache-memory", "1MiB", "--prompt", "x"], 78, "KV", {}),
            (["synthesize", "/nonexistent/x.gguf", "--shape", "tiny", "--tokenizer", MODEL], 71, "/nonexistent/x.gguf: No such file", {}),
            (["synthesize", "/tmp/x.gguf", "--shape", "tiny", "--tokenizer", typo], 66, pathlib.Path(typo).name, {}),
            (["synthesize", "/tmp/x.gguf", "--shape", "tiny,dim=100", "--tokenizer", MODEL], 64, "multiple of 32", {}),
            (["perplexity", MODEL, "/nonexistent"], 66, "/nonexistent: No such file", {}),
            (["generate", MODEL, "--kv-cache-memory", "1TiB", "--max-model-len", 1 << 24, "--max-num-seqs", 4096, "--prompt", "x"], 78, "does not fit", {}),
            (["generate", MODEL, "--prompt", b"a\xff"], 65, "the prompt is not UTF-8 at byte 1", {}),
            (["generate", MODEL, "--prompt", ""], 64, "the prompt is empty", {}),
            (["generate", MODEL], 64, "the prompt is empty", {}),
            (["generate", MODEL, "--tp", 2], 64, "the prompt is empty", {"ranks": 2}),
            (["generate", MODEL, "--tp", 2, "--prompt", ""], 64, "the prompt is empty", {"ranks": 2}),
        ]:
            with self.subTest(arguments=arguments, **keywords):
                self.assertIn(text, run(*arguments, status=status, **keywords)[1])

    def test_mistakes_in_input_are_told_before_weights_are_loaded(self):
        for arguments, status in ((["perplexity", MODEL, "/nonexistent"], 66), (["generate", MODEL, "--prompt", b"\xff"], 65), (["generate", MODEL], 64)):
            with self.subTest(arguments=arguments):
                self.assertNotIn("loaded", run(*arguments, status=status)[1])

    def test_a_job_tells_that_it_waits_for_a_prompt(self):
        with subprocess.Popen(["mpirun", "-np", "2", PROGRAM, "generate", MODEL, "--tp", "2", "--max-tokens", "1"], env=MPI, text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as job:
            while "Ctrl-D" not in (line := job.stderr.readline()):
                self.assertTrue(line, "the job ended")
            self.assertTrue(job.communicate(PROMPT)[0].strip())
            self.assertEqual(job.returncode, 0)

    def test_the_scripts(self):
        root = pathlib.Path(__file__).parents[2]
        for arguments, variables, status, text in [
            (["./quickstart", "--bogus"], {}, 64, "there is no --bogus"),
            (["tests/run", "--bogus"], {}, 64, "there is no --bogus"),
            (["./quickstart"], {"SHARDLINE_PORT": "http"}, 64, "SHARDLINE_PORT"),
            (["bash", "-c", ". scripts/setup.sh; get_model"], {"XDG_CACHE_HOME": "/proc/none"}, 73, "set XDG_CACHE_HOME"),
        ]:
            with self.subTest(arguments=arguments):
                done = subprocess.run(arguments, cwd=root, env=dict(os.environ, **variables), text=True, capture_output=True, timeout=60)
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertIn(text, done.stderr)

    def test_a_file_that_is_no_model(self):
        with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
            file.write(b"GGUF\xff\xff\xff\xff" + bytes(64))
            file.flush()
            run("inspect", file.name, status=65)


if __name__ == "__main__":
    unittest.main()
