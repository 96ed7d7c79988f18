"""Sides of bench/inference.py in the stack bench-peers: OpenVINO, ONNX Runtime, CTranslate2; see inference_sides.py.

    PYTHON bench/inference_peers.py convert FILE FOLDER     what the sides read, of a GGUF file, each by its own tool
    PYTHON bench/inference_peers.py OpenVINO int4_sym-64,f32,paged FOLDER 128

A form of OpenVINO is NNCF's mode with its group of inputs that share a scale, the precision that it computes in, and
the runtime: `graph` is the model with its state, as OpenVINO GenAI's LLMPipeline runs one request, `paged` is its
continuous batching.
"""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
from inference_sides import BATCH, LONG_PROMPT, THREADS, main, room

OPENVINO: dict[str, dict[str, Any]] = {
    "int4_sym-64": {"mode": "INT4_SYM", "group_size": 64},
    "int4_asym-64": {"mode": "INT4_ASYM", "group_size": 64},
    "int4_sym-rows": {"mode": "INT4_SYM", "group_size": -1},
    "int8_asym": {"mode": "INT8_ASYM"},
    "int8_sym": {"mode": "INT8_SYM"},
    "float16": {},
}
ONNX = {"int4-32": ["int4_block_size=32"], "int4-128": ["int4_block_size=128"]}
CTRANSLATE2 = ("int8",)  # it has bfloat16 on few processors alone: AMD's are not among them


def convert(file: Path, folder: Path) -> None:
    """Hugging Face's layout in float32, as transformers reads the file, and what each engine makes of it."""
    import torch
    import transformers

    plain = folder / "plain"
    if not plain.exists():
        model = transformers.AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
        model.save_pretrained(plain)
        transformers.AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(plain)
        del model
    openvino(plain, folder)
    for form, options in ONNX.items():
        command = ["-m", "onnxruntime_genai.models.builder", "-i", plain, "-o", folder / "ONNX Runtime" / form]
        command += ["-p", "int4", "-e", "cpu", "-c", folder / "cache", "--extra_options", "int4_accuracy_level=4"]
        convert_by([*command, *options], folder / "ONNX Runtime" / form)
    for form in CTRANSLATE2:
        command = ["-m", "ctranslate2.converters.transformers", "--model", plain, "--quantization", form]
        convert_by([*command, "--output_dir", folder / "CTranslate2" / form], folder / "CTranslate2" / form)


def convert_by(words: list[Any], made: Path) -> None:
    if not made.exists():
        subprocess.run([sys.executable, *map(str, words)], check=True)


def openvino(plain: Path, folder: Path) -> None:
    """Export the model, and compress its weights in each form; the embedding and the head stay at 8 bits."""
    import nncf
    import openvino as ov
    from openvino_tokenizers import convert_tokenizer
    from optimum.intel import OVModelForCausalLM
    from transformers import AutoTokenizer

    exported = folder / "exported"
    if not exported.exists():
        OVModelForCausalLM.from_pretrained(plain, export=True, compile=False, load_in_8bit=False).save_pretrained(
            exported
        )
    texts = convert_tokenizer(AutoTokenizer.from_pretrained(plain), with_detokenizer=True)
    for form, wanted in OPENVINO.items():
        made = folder / "OpenVINO" / form
        if made.exists():
            continue
        model = ov.Core().read_model(exported / "openvino_model.xml")
        if wanted:
            options = {**wanted, "mode": nncf.CompressWeightsMode[wanted["mode"]]}
            model = nncf.compress_weights(model, **options)
        ov.save_model(model, made / "openvino_model.xml")
        for name, text in zip(("tokenizer", "detokenizer"), texts, strict=True):
            ov.save_model(text, made / f"openvino_{name}.xml")
        for name in ("config.json", "generation_config.json"):
            (made / name).write_bytes((exported / name).read_bytes())


def properties(precision: str) -> dict[str, Any]:
    return {"INFERENCE_NUM_THREADS": THREADS, "INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}


class Graph:
    """OpenVINO's model with its state, one infer call a step."""

    def __init__(self, folder: Path, precision: str) -> None:
        import openvino as ov
        from openvino import opset13

        core = ov.Core()
        model = core.read_model(folder / "openvino_model.xml")
        head = model.output("logits").get_node().input_value(0).get_node()
        assert head.get_type_name() == "MatMul"
        last = opset13.slice(head.input_value(0), [-1], [np.iinfo("int64").max], [1], [1])  # as LLMPipeline does
        head.input(0).replace_source_output(last.output(0))
        compiled = core.compile_model(model, "CPU", properties(precision))
        self.request = compiled.create_infer_request()
        self.names = {name for value in compiled.inputs for name in value.names}

    def _infer(self, tokens: np.ndarray, known: int) -> None:
        batch, length = tokens.shape
        given = {"input_ids": tokens, "attention_mask": np.ones((batch, known + length), "int64")}
        if "position_ids" in self.names:
            given["position_ids"] = np.tile(np.arange(known, known + length), (batch, 1))
        if "beam_idx" in self.names:
            given["beam_idx"] = np.arange(batch, dtype="int32")
        self.request.infer(given, share_inputs=True)
        self.request.get_output_tensor(0).data[:, -1].argmax(-1)

    def prompt(self, length: int) -> None:
        self.begin(1, length)

    def begin(self, batch: int, length: int) -> None:
        self.request.reset_state()
        self._infer(np.tile(np.arange(100, 100 + length), (batch, 1)), 0)
        self.position = length

    def step(self, batch: int) -> None:
        self._infer(np.arange(100, 100 + batch)[:, None], self.position)
        self.position += 1


class Paged:
    """OpenVINO GenAI's continuous batching, which chooses tokens itself."""

    def __init__(self, folder: Path, precision: str, position: int) -> None:
        import openvino as ov
        import openvino_genai as genai

        self.tensor, self.number, self.handles = ov.Tensor, 0, list[Any]()
        wanted = genai.SchedulerConfig()
        wanted.num_kv_blocks = BATCH * (-(-room(position) // 32) + 1)
        wanted.max_num_batched_tokens = BATCH * max(position, LONG_PROMPT)
        wanted.enable_prefix_caching = False
        self.pipeline = genai.ContinuousBatchingPipeline(str(folder), wanted, "CPU", properties(precision))
        self.greedy = genai.GenerationConfig()
        self.greedy.max_new_tokens, self.greedy.ignore_eos = room(position) - position, True

    def prompt(self, length: int) -> None:
        self.begin(1, length)

    def begin(self, batch: int, length: int) -> None:
        for handle in self.handles:
            handle.stop()
        while self.pipeline.has_non_finished_requests():
            self.pipeline.step()
        tokens = self.tensor(np.arange(100, 100 + length)[None])
        self.handles = [self.pipeline.add_request(self.number + each, tokens, self.greedy) for each in range(batch)]
        self.number += batch
        while not all(handle.can_read() for handle in self.handles):
            self.pipeline.step()

    def step(self, batch: int) -> None:
        self.pipeline.step()


def openvino_side(form: str, folder: str, position: int) -> Any:
    weights, precision, runtime = form.split(",")
    place = Path(folder, "OpenVINO", weights)
    side: Any = Graph(place, precision) if runtime == "graph" else Paged(place, precision, position)
    side.details = {}
    return side


class OnnxRuntime:
    """onnxruntime-genai's generator."""

    def __init__(self, form: str, folder: str, position: int) -> None:
        import onnxruntime_genai as genai

        self.api, self.room = genai, room(position)
        wanted = genai.Config(str(Path(folder, "ONNX Runtime", form)))
        wanted.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": THREADS}}}}))
        self.model = genai.Model(wanted)
        self.details: dict[str, Any] = {}

    def prompt(self, length: int) -> None:
        self.begin(1, length)

    def begin(self, batch: int, length: int) -> None:
        wanted = self.api.GeneratorParams(self.model)
        wanted.set_search_options(batch_size=batch, max_length=self.room, min_length=self.room, do_sample=False)
        self.generator = self.api.Generator(self.model, wanted)
        self.generator.append_tokens(np.tile(np.arange(100, 100 + length, dtype="int32"), (batch, 1)))
        self.generator.generate_next_token()

    def step(self, batch: int) -> None:
        self.generator.generate_next_token()


class CTranslate2:
    """CTranslate2's generator, in a thread that waits after each step until the next one is asked for."""

    def __init__(self, form: str, folder: str, position: int) -> None:
        import ctranslate2

        place = Path(folder, "CTranslate2", form)
        self.generator = ctranslate2.Generator(str(place), compute_type=form, intra_threads=THREADS)
        self.words, self.room = json.loads((place / "vocabulary.json").read_text()), room(position)
        self.thread: threading.Thread | None = None
        self.made, self.wanted = threading.Semaphore(0), threading.Semaphore(0)
        self.details: dict[str, Any] = {}

    def _generate(self, batch: int, length: int) -> None:
        chosen = 0

        def wait(result: Any) -> bool:
            nonlocal chosen
            chosen += 1
            if chosen % batch == 0:  # it is called for each sequence
                self.made.release()
                self.wanted.acquire()
            return self.over

        words = [self.words[100 : 100 + length]] * batch
        limits = {"max_length": self.room, "min_length": self.room, "include_prompt_in_result": False}
        self.generator.generate_batch(words, callback=wait, **limits)

    def prompt(self, length: int) -> None:
        self.begin(1, length)

    def begin(self, batch: int, length: int) -> None:
        if self.thread:
            self.over = True
            self.wanted.release()
            self.thread.join()
        self.over, self.made, self.wanted = False, threading.Semaphore(0), threading.Semaphore(0)
        self.thread = threading.Thread(target=self._generate, args=(batch, length), daemon=True)
        self.thread.start()
        self.made.acquire()

    def step(self, batch: int) -> None:
        self.wanted.release()
        self.made.acquire()


ENGINES: dict[str, Any] = {"OpenVINO": openvino_side, "ONNX Runtime": OnnxRuntime, "CTranslate2": CTranslate2}

if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if sys.argv[1] == "convert":
        convert(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(ENGINES)
