"""What vLLM needs on a GPU beside weights and KV cache: activations, graphs, what is not torch's.

Pure. No GPU was at hand: nothing here was measured by this project. Activations are reckoned from
shapes as the engine's profile run allocates them (`GPUModelRunner.profile_run`, vLLM 0.32); the
constants of the other terms are read off start-up logs that others published. All of it is held
against such logs in docs/reference/predictions.md, misses included (`tests/cases/gpu_memory`).
Refuses to know what depends on images: how an encoder cuts its largest picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from llmops.planning.architecture import (
    ByExpert,
    ByRow,
    Keys,
    Latent,
    Layer,
    Profile,
)
from llmops.planning.memory.weights import share
from llmops.planning.model import Figure
from llmops.planning.parallel import Parallel, stages
from llmops.units import Bytes

GIB, MIB = 2**30, 2**20

CONCURRENT_BATCHES = 2
"""Batches at once with the engine's asynchronous scheduling (`max_concurrent_batches`, 0.32)."""

Platform = Literal["gpu", "tpu", "cpu"]

Runner = Literal["V2", "V1"]
"""The engine's model runner: V2 unless a feature needs V1 (`VllmConfig.use_v2_model_runner`)."""

RESIDUALS = 4
"""Tensors of the residual stream's width alive at the widest point of a layer: the stream, what the
norm made of it, and the block's input and output. CodeLlama-7B and Granite-3.1-8B log 788 and 870
MiB of activations on an H100 (vLLM 0.19.0, 8192 tokens); 4 gives 772 and 856 MiB."""

WORKSPACE = 32 * MIB
"""cuBLAS' workspace on NVIDIA GPUs since Hopper (PyTorch's `CUBLAS_WORKSPACE_CONFIG`, default)."""

SAMPLER = {"V2": 0, "V1": 12}
"""Bytes of a logit beside the engine's own format while the profile run samples. V1: a float32
copy, the probabilities and the noise (`Sampler.forward`, `random_sample`). V2 samples from the
logits as they are (`Sampler.sample` without a request that asks for more)."""

PROCESSORS = 148
"""Multiprocessors that each hold a row of float32 logits in V1's sampler
(`apply_top_k_top_p_triton`): the 148 of a B200. The 132 of an H100 hold 8 MiB less of 128 Ki
tokens."""

LATENT_ROWS = 64 * 1024
"""Tokens whose latent keys are blown up at once, at most
(`MLACommonMetadataBuilder.determine_chunked_prefill_workspace_size`)."""

PATCHES = 4
"""Patches of a picture for each token of it that the language model reads: projectors merge 2 x 2
(Qwen-VL, Llama 4, InternVL, Mistral 3)."""

POOLED = {"gemma3": 16}
"""Models that pool more: 4096 patches of an image become 256 tokens (`mm_tokens_per_image`)."""

PIXELS = 20 * 1024
"""Bytes of pictures for each token of them, in the encoder's input. Gemma 3 has 18.4 KiB (32 images
of 3 x 896 x 896 in 2 bytes are 8192 tokens), the most of the logged models."""

SPLITS = 32
"""Parts of a request's keys that decoding attends to at once, each with float32 sums of its own,
which a full graph's pool holds. The debug lines `FULL … first-capture` of 59 logs (vLLM 0.19.0,
H100, 512 requests) say 134 MiB for 2048 elements of heads, 262 for 4096, 522 for 8192."""

GRAPH_PIECES = 96 * MIB
"""Bytes of the piecewise graphs' pool beside what the layers leave in it: these logs' `PIECEWISE …
first-capture` lines say 84 to 224 MiB."""

GRAPH_LAYER = MIB // 4
"""Bytes of each further graph for each layer: their `per-graph` lines say 4 to 8 MiB for 28 to 32
layers and 16 to 20 MiB for 80. Three of the logs have a second graph of 24 or 26 MiB instead, which
the engine multiplies by all graphs: there it sets aside more than we say."""

GRAPH_SIZES = 512
"""Largest batch that is captured; 1024 on data-centre Blackwell (`_set_cudagraph_sizes`)."""

OUTSIDE_ONE = 3 * GIB // 10
"""Growth of what is not torch's on a device alone: 0.24 to 0.27 GiB in 39 of 42 logs (vLLM 0.19.0,
H100), 0.46 GiB in those of Granite; 0.30 GiB on an RTX 4090 (0.27.1)."""

OUTSIDE_MANY = 9 * GIB // 4
"""The same on each device of a tensor parallel group: NCCL's and the custom all-reduce's buffers.
2.06 to 2.21 GiB with 2 and 4 H100 on NVLink (vLLM 0.19.0)."""

BEFORE_ONE = 11 * GIB // 20
"""Taken when the engine looks first: 0.51 GiB of an H100 (its CUDA context)."""

BEFORE_MANY = 21 * GIB // 10
"""The same with communicators set up: 1.43 to 2.07 GiB on each of 2 or 4 H100."""

_LOGS = "published start-up logs; not measured here"


@dataclass(frozen=True, slots=True)
class BatchDefaults:
    """Bounds of a batch when the user names none."""

    tokens: int
    """`max_num_batched_tokens`."""
    sequences: int
    """`max_num_seqs`."""


def batch_defaults(
    device_memory: int,
    name: str,
    *,
    platform: Platform = "gpu",
    world: int = 1,
    context: int | None = None,
) -> BatchDefaults:
    """The OpenAI server's defaults by device (`EngineArgs.get_batch_defaults`, vLLM 0.32).

    Args:
        device_memory: Bytes that the driver shows of one device.
        name: The driver's or the catalogue's name of it; A100s and TPUs are told by it.
        platform: Kind of device.
        world: Tensor times pipeline parallel size, which a CPU's bounds grow with.
        context: Longest request in tokens, which bounds the tokens of a batch too.
    """
    known = name.casefold()
    if platform == "cpu":
        tokens, sequences = 2048 * world, 128 * world
    elif device_memory >= 160 * GIB:
        tokens, sequences = 16384, 1024
    elif device_memory >= 70 * GIB and "a100" not in known:
        tokens, sequences = 8192, 1024
    else:
        tokens, sequences = 2048, 256
    if platform == "tpu":
        chips = (("v6e", 1024), ("v5e", 512), ("v5p", 256))
        tokens = next((own for chip, own in chips if chip in known), tokens)
    if context is not None:
        tokens = min(tokens, sequences * context)
    return BatchDefaults(tokens, min(sequences, tokens))


def activations(
    profile: Profile,
    parallel: Parallel,
    element: int,
    tokens: int,
    sequences: int,
    *,
    quantised: bool = False,
    runner: Runner = "V2",
) -> Figure:
    """Bytes that the profile run peaks at above the weights, on the fullest device.

    The run passes `tokens` tokens through the encoder of pictures if there is one, the layers, and
    the head for `sequences` rows; attention itself is left out. What counts is the widest of these
    phases, with the workspace of the experts, which is kept once it is there.

    Args:
        profile: The model.
        parallel: Its layout.
        element: Bytes of an activation (the engine's number format).
        tokens: `max_num_batched_tokens`.
        sequences: `max_num_seqs`.
        quantised: Whether linear layers get 8 bit activations, made beside the others.
        runner: Which of the engine's runners samples.
    """
    rows = min(sequences, tokens)
    phases = {
        "layers": _layers_phase(profile, parallel, element, tokens, quantised=quantised),
        "logits": _logits_phase(profile, element, tokens, rows, runner),
        "encoder": _encoder_phase(profile, element, tokens),
    }
    widest = max(phases, key=lambda name: phases[name])
    kept = _experts_workspace(profile, parallel, element, tokens)
    passed = 2 * tokens * profile.hidden * element if parallel.pipeline > 1 else 0
    value = phases[widest] + kept + passed + WORKSPACE
    said = ", ".join(f"{name} {Bytes(size).human()}" for name, size in phases.items() if size)
    experts = f" + {Bytes(kept).human()} workspace of experts" if kept else ""
    stages = f" + {Bytes(passed).human()} passed on between stages" if passed else ""
    return Figure(
        value,
        f"widest phase of a pass of {tokens} tokens and {rows} sequences ({said}){experts}{stages} "
        f"+ {Bytes(WORKSPACE).human()} of cuBLAS; reckoned from shapes, not measured here",
    )


def vision(profile: Profile, element: int, tokens: int) -> Figure:
    """Bytes of pictures and of their embeddings, which stay while the layers are profiled.

    The encoder's budget is `max_num_batched_tokens` unless one picture is larger
    (`MultiModalBudget.get_encoder_budget`, vLLM 0.32): how large it may be is its processor's to
    say, so that the figure is uncertain. 0 without an encoder of pictures.
    """
    if not profile.towers:
        return Figure(0, "no encoder of pictures")
    each = profile.hidden * element + PIXELS
    return Figure(
        tokens * each,
        f"{tokens} tokens of pictures x ({profile.hidden} x {element} bytes + {PIXELS} bytes of "
        "pixels); uncertain: it depends on the largest picture",
    )


def graphs(
    profile: Profile,
    parallel: Parallel,
    sequences: int,
    *,
    element: int = 2,
    enforce_eager: bool = False,
    largest: int = GRAPH_SIZES,
) -> Figure:
    """Bytes that the engine sets aside for CUDA graphs before it sizes the KV cache.

    Since vLLM 0.21 it subtracts an estimate: the pools of the first captures, and the second's size
    for each further graph (`profile_cudagraph_memory`). Piecewise graphs are captured for batches
    up to twice `sequences`, full ones up to `sequences`.

    Args:
        profile: The model.
        parallel: Its layout.
        sequences: `max_num_seqs`.
        element: Bytes of an activation.
        enforce_eager: Whether the engine is told to capture none.
        largest: Largest batch that is captured on this device.
    """
    if enforce_eager:
        return Figure(0, "no graphs are captured (enforce_eager)")
    sizes = capture_sizes(min(2 * sequences, largest))
    full = capture_sizes(min(sequences, largest))
    attention = full[-1] * SPLITS * _attention(profile, parallel) * 4
    left = _layers_phase(profile, parallel, element, sizes[-1], quantised=False, latent=False)
    layers = -(-len(profile.layers) // parallel.pipeline)
    further = len(sizes) + len(full) - 2
    return Figure(
        attention + GRAPH_PIECES + left + further * layers * GRAPH_LAYER,
        f"{Bytes(attention).human()} of attention + {Bytes(GRAPH_PIECES + left).human()} of pieces "
        f"+ {further} further graphs x {layers} layers x {Bytes(GRAPH_LAYER).human()} ({_LOGS})",
    )


def capture_sizes(largest: int) -> tuple[int, ...]:
    """Batches that graphs are captured for (`VllmConfig._set_cudagraph_sizes`, vLLM 0.32)."""
    steps = (1, 2, 4, *range(8, 256, 8), *range(256, largest + 1, 16))
    return tuple(size for size in steps if size <= max(1, largest))


def outside(parallel: Parallel) -> Figure:
    """Bytes that grow on a device outside of torch while the engine starts, and that it counts."""
    if parallel.tensor * parallel.data == 1:
        return Figure(OUTSIDE_ONE, f"libraries on one device ({_LOGS})")
    return Figure(OUTSIDE_MANY, f"buffers of collective operations ({_LOGS})")


def before(parallel: Parallel) -> Figure:
    """Bytes taken when the engine looks first: not in its budget, but no longer free either."""
    if parallel.devices == 1:
        return Figure(BEFORE_ONE, f"CUDA context ({_LOGS})")
    return Figure(BEFORE_MANY, f"CUDA context and communicators ({_LOGS})")


@dataclass(frozen=True, slots=True)
class Terms:
    """All that the engine takes beside weights and KV cache; bytes on a device."""

    loading: Figure
    """What loading adds to the weights."""
    activations: Figure
    vision: Figure
    """What pictures take; 0 without an encoder of pictures."""
    graphs: Figure
    outside: Figure

    @property
    def total(self) -> int:
        """All of them."""
        found = (self.loading, self.activations, self.vision, self.graphs, self.outside)
        return sum(int(figure.value) for figure in found)


def terms(
    profile: Profile,
    parallel: Parallel,
    element: int,
    batch: BatchDefaults,
    *,
    quantised: bool = False,
    eager: bool = False,
) -> Terms:
    """Reckon all of them for a batch."""
    tokens, sequences = batch.tokens, batch.sequences
    return Terms(
        loading=loading(profile, parallel, element),
        activations=activations(profile, parallel, element, tokens, sequences, quantised=quantised),
        vision=vision(profile, element, tokens),
        graphs=graphs(profile, parallel, sequences, element=element, enforce_eager=eager),
        outside=outside(parallel),
    )


def loading(profile: Profile, parallel: Parallel, element: int) -> Figure:
    """Bytes that loading adds to the weights: tables of positions, copies for latent attention.

    Rotary tables hold a sine and a cosine for each position (`RotaryEmbedding`, a buffer of all
    layers); latent attention keeps the halves of `kv_b_proj` once more in the engine's format for
    decoding (`W_UK_T`, `W_UV` of `MLAAttention`, vLLM 0.32).
    """
    memories = [memory for layer in _kinds(profile) for memory in layer.memory]
    widths = [m.rope for m in memories if isinstance(m, Latent)]
    widths += [m.key for m in memories if isinstance(m, Keys)]
    tables = profile.max_positions * max(widths, default=0) * element if _rotary(profile) else 0
    copies = 0
    for start, end in stages(len(profile.layers), parallel.pipeline):
        inside = (w for layer in profile.layers[start:end] for w in layer.weights)
        ups = (w for w in inside if "kv_b_proj" in w.name)
        copies = max(copies, sum(share(w.cut, w.elements * element, parallel) for w in ups))
    how = f"{Bytes(tables).human()} of rotary tables" if tables else "no rotary tables"
    how += f" + {Bytes(copies).human()} of copies for latent attention" if copies else ""
    return Figure(tables + copies, how)


def _rotary(profile: Profile) -> bool:
    """Whether positions are told by rotary tables: not where there are weights for them."""
    names = [weight.name for weight in profile.before]
    names += [weight.name for layer in _kinds(profile) for weight in layer.weights]
    return not any("position" in name or "wpe" in name or "relative" in name for name in names)


def _layers_phase(
    profile: Profile,
    parallel: Parallel,
    element: int,
    tokens: int,
    *,
    quantised: bool,
    latent: bool = True,
) -> int:
    """The stream, and the widest block of a layer; the blown up latents of a long request."""
    layers = _kinds(profile)
    widest = max((_block(layer, parallel, profile, quantised) for layer in layers), default=0)
    size = tokens * (RESIDUALS * profile.hidden * element + int(widest * element))
    rows = LATENT_ROWS if latent else 0
    return size + rows * max((_latent(layer, parallel) for layer in layers), default=0) * element


def _kinds(profile: Profile) -> Sequence[Layer]:
    """Layers that differ, encoder's included."""
    return tuple({id(layer): layer for layer in (*profile.layers, *profile.encoder)}.values())


def _attention(profile: Profile, parallel: Parallel) -> int:
    """Elements of all heads' values on a rank; with latents each head has all of one."""
    memories = [memory for layer in _kinds(profile) for memory in layer.memory]
    sizes = [memory.value for memory in memories if isinstance(memory, Keys)]
    sizes += [memory.rank for memory in memories if isinstance(memory, Latent)]
    return profile.heads * max(sizes, default=0) // parallel.tensor


def _block(layer: Layer, parallel: Parallel, profile: Profile, quantised: bool) -> float:
    """Elements a token of the widest block: what its projections in give, what those out take."""
    blocks: dict[str, float] = {}
    for weight in layer.weights:
        if len(weight.shape) != 2 or isinstance(weight.cut, (ByExpert, ByRow)):
            continue
        outputs, inputs = weight.shape
        out = outputs == profile.hidden
        width = share(weight.cut, (inputs if out else outputs) * weight.copies, parallel)
        name = weight.name.split(".")[0]
        blocks[name] = blocks.get(name, 0) + width * (1.5 if quantised and out else 1)
    return max(blocks.values(), default=0)


def _latent(layer: Layer, parallel: Parallel) -> int:
    """Elements of keys and values that one latent is blown up to."""
    if not any(isinstance(memory, Latent) for memory in layer.memory):
        return 0
    ups = [weight for weight in layer.weights if "kv_b_proj" in weight.name]
    return sum(share(weight.cut, weight.shape[0], parallel) for weight in ups)


def _logits_phase(profile: Profile, element: int, tokens: int, rows: int, runner: Runner) -> int:
    """All hidden states, and those of the last tokens twice, beside a row of logits for each."""
    if profile.task not in ("generate", "transduce"):
        return 0
    hidden = (tokens + 2 * rows) * profile.hidden * element
    logits = rows * profile.vocabulary * (element + SAMPLER[runner])
    scratch = min(PROCESSORS, rows) * profile.vocabulary * 4 if runner == "V1" else 0
    return hidden + logits + scratch


def _encoder_phase(profile: Profile, element: int, tokens: int) -> int:
    """Patches through a layer of the encoder, which every device runs whole."""
    matrices = [w for w in profile.towers if len(w.shape) == 2 and w.copies > 1]
    if not matrices:
        return 0
    widest = max(matrices, key=lambda weight: weight.shape[0])
    width, hidden = widest.shape
    patches = tokens * POOLED.get(profile.model_type, PATCHES)
    return patches * (RESIDUALS * hidden + 2 * width) * element


def _experts_workspace(profile: Profile, parallel: Parallel, element: int, tokens: int) -> int:
    """Two buffers with a row for each token and chosen expert, of the fullest layer.

    `TritonExperts.workspace_shapes` (vLLM 0.32): one as wide as the activated columns or the
    stream, one as wide as the gate's and the up projection's columns or the stream. Data parallel
    ranks gather each other's tokens first.
    """
    rows = tokens * parallel.data * profile.experts_per_token
    ranks = 1 if parallel.expert else parallel.ranks
    widest = 0
    for layer in _kinds(profile):
        cuts = [weight.cut for weight in layer.weights if isinstance(weight.cut, ByExpert)]
        if not cuts:
            continue
        columns = cuts[0].units // ranks
        outer = columns * _projections_in(layer, cuts[0], profile.hidden)
        widest = max(widest, max(columns, profile.hidden) + max(outer, profile.hidden))
    return rows * widest * element


def _projections_in(layer: Layer, cut: ByExpert, hidden: int) -> int:
    """How many projections into its columns an expert has: 2 with a gate, else 1."""
    tables = [w for w in layer.weights if isinstance(w.cut, ByExpert) and len(w.shape) == 3]
    return max(1, sum(w.elements for w in tables) // (cut.experts * cut.units * hidden) - 1)
