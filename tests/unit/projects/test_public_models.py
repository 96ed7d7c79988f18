"""config.json as the authors of public models wrote it: read as they mean it, or refused by the name of what is new."""

import re

import llm
import pytest
from llm.vision_config import vision_config

PLAIN = {"attention_dropout": 0.0, "initializer_range": 0.02, "torch_dtype": "bfloat16", "use_cache": True}
PLAIN |= {"transformers_version": "4.51.0", "bos_token_id": 1, "eos_token_id": 2}


def config(architecture, kind, layers, hidden, inner, heads, kv_heads, vocabulary, context, **more):
    says = {"architectures": [architecture], "model_type": kind, "num_hidden_layers": layers, "hidden_size": hidden}
    says |= {"intermediate_size": inner, "num_attention_heads": heads, "num_key_value_heads": kv_heads}
    says |= {"vocab_size": vocabulary, "max_position_embeddings": context, "rms_norm_eps": 1e-6, "hidden_act": "silu"}
    return {**PLAIN, **says, **more}


def mistral(*numbers, **more):
    return config(
        "MistralForCausalLM", "mistral", *numbers, **{"rms_norm_eps": 1e-5, "tie_word_embeddings": False, **more}
    )


def qwen3(*numbers, **more):
    none = {"attention_bias": False, "use_sliding_window": False, "sliding_window": None, "rope_scaling": None}
    return config("Qwen3ForCausalLM", "qwen3", *numbers, **{**none, "head_dim": 128, "rope_theta": 5000000, **more})


def gemma3(*numbers, **more):
    says = {"head_dim": 256, "query_pre_attn_scalar": 256, "hidden_activation": "gelu_pytorch_tanh", "hidden_act": None}
    says |= {
        "attn_logit_softcapping": None,
        "final_logit_softcapping": None,
        "attention_bias": False,
        "rope_scaling": None,
    }
    says |= {"sliding_window": 512, "rope_theta": 1000000, "rope_local_base_freq": 10000, "pad_token_id": 0}
    return config("Gemma3ForCausalLM", "gemma3_text", *numbers, **{**says, **more})


PHI4 = {
    "attention_bias": False,
    "embd_pdrop": 0.0,
    "resid_pdrop": 0.0,
    "rms_norm_eps": 1e-5,
}
MINI = {"full_attn_mod": 1, "interpolate_factor": 1, "lm_head_bias": False, "mlp_bias": False, "rope_theta": 10000.0}
FACTORS = {"type": "longrope", "short_factor": [1.0] * 48, "long_factor": [1 + n / 4 for n in range(48)]}
SLIDES = ["sliding_attention"] * 5 + ["full_attention"]
SMOLLM3 = {"attention_bias": False, "mlp_bias": False, "layer_types": ["full_attention"] * 36, "max_window_layers": 28}
SMOLLM3 |= {"no_rope_layer_interval": 4, "no_rope_layers": [1, 1, 1, 0] * 9, "pretraining_tp": 2, "rope_scaling": None}
SMOLLM3 |= {"rope_theta": 5000000.0, "sliding_window": None, "use_sliding_window": False}
EXPERTS = {"decoder_sparse_step": 1, "mlp_only_layers": [], "moe_intermediate_size": 768, "norm_topk_prob": True}
EXPERTS |= {"num_experts": 128, "num_experts_per_tok": 8, "output_router_logits": False, "router_aux_loss_coef": 0.001}
QWEN25 = ("Qwen2ForCausalLM", "qwen2", 28, 3584, 18944, 28, 4, 152064)
WINDOW = {"use_sliding_window": False, "sliding_window": 32768, "max_window_layers": 28, "rope_theta": 1000000.0}
VL_TOKENS = {"vision_start_token_id": 151652, "vision_end_token_id": 151653, "vision_token_id": 151654}
VL_TOKENS |= {"image_token_id": 151655, "video_token_id": 151656}
TOWER2 = {"depth": 32, "embed_dim": 1280, "mlp_ratio": 4, "num_heads": 16, "in_chans": 3, "hidden_size": 1536}
TOWER2 |= {"patch_size": 14, "spatial_merge_size": 2, "spatial_patch_size": 14, "temporal_patch_size": 2}
TOWER25 = {"depth": 32, "fullatt_block_indexes": [7, 15, 23, 31], "hidden_act": "silu", "hidden_size": 1280}
TOWER25 |= {"in_channels": 3, "in_chans": 3, "initializer_range": 0.02, "intermediate_size": 3420, "num_heads": 16}
TOWER25 |= {"model_type": "qwen2_5_vl", "out_hidden_size": 3584, "patch_size": 14, "spatial_merge_size": 2}
TOWER25 |= {"spatial_patch_size": 14, "temporal_patch_size": 2, "tokens_per_second": 2, "window_size": 112}
VL2, VL25 = "Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration"
MROPE = {"type": "mrope", "mrope_section": [16, 24, 24]}
VL25_7B = config(VL25, "qwen2_5_vl", 28, 3584, 18944, 28, 4, 152064, 128000, **WINDOW, **VL_TOKENS,
                 rope_scaling=MROPE, tie_word_embeddings=False, vision_config=TOWER25)  # fmt: skip
SAVED = {"rope_scaling": {"rope_type": "default", **MROPE, "type": "default"}, "model_type": "qwen2_5_vl_text"}
SAVED |= {"sliding_window": None, "image_token_id": None, "video_token_id": None}
NESTED = {name: value for name, value in VL25_7B.items() if name != "vision_config"}

READ = {
    "Qwen2-VL-2B": (
        config(VL2, "qwen2_vl", 28, 1536, 8960, 12, 2, 151936, 32768, **WINDOW, **VL_TOKENS, rope_scaling=MROPE,
               tie_word_embeddings=True, vision_config=TOWER2),
        {"sections": (16, 24, 24), "windows": (0,) * 28, "rope_theta": 1e6, "tied": True, "head_dim": 128},
    ),
    "Qwen2.5-VL-7B": (VL25_7B, {"sections": (16, 24, 24), "context": 128000, "tied": False}),
    "Qwen2.5-VL-7B, as transformers 4.53 saves it": (
        {**VL25_7B, "text_config": {**NESTED, **SAVED}},
        {"sections": (16, 24, 24), "rope_theta": 1e6, "windows": (0,) * 28, "tied": False},
    ),
    "Ministral-8B": (
        mistral(36, 4096, 12288, 32, 8, 131072, 32768, head_dim=128, sliding_window=32768, rope_theta=1e8),
        {"windows": (32768,) * 36, "rope_theta": 1e8},
    ),
    "Mistral-Nemo": (
        mistral(40, 5120, 14336, 32, 8, 131072, 131072, head_dim=128, sliding_window=None, rope_theta=1e6),
        {"head_dim": 128, "windows": (0,) * 40},
    ),
    "Phi-4": (
        config("Phi3ForCausalLM", "phi3", 40, 5120, 17920, 40, 10, 100352, 16384, **PHI4, rope_theta=250000,
               tie_word_embeddings=False, rope_scaling=None, sliding_window=None,
               original_max_position_embeddings=16384),
        {"rope_theta": 250000.0, "biases": frozenset(), "longest": 16384},
    ),
    "Phi-4-mini": (
        config("Phi3ForCausalLM", "phi3", 32, 3072, 8192, 24, 8, 200064, 131072, **PHI4, **MINI,
               tie_word_embeddings=True, rope_scaling=FACTORS, partial_rotary_factor=0.75, sliding_window=262144,
               original_max_position_embeddings=4096),
        {"tied": True, "windows": (262144,) * 32},
    ),
    "Gemma-3-1B": (
        gemma3(26, 1152, 6912, 4, 1, 262144, 32768, sliding_window_pattern=6, cache_implementation="hybrid"),
        {"windows": ((512,) * 5 + (0,)) * 4 + (512, 512), "activation": "gelu_tanh", "tied": True},
    ),
    "Gemma-3-270M": (
        gemma3(18, 640, 2048, 4, 1, 262144, 32768, layer_types=SLIDES * 3, _sliding_window_pattern=6,
               use_bidirectional_attention=False),
        {"windows": ((512,) * 5 + (0,)) * 3, "turned": (1, 1, 1, 1, 1, 0) * 3},
    ),
    "SmolLM3-3B": (
        config("SmolLM3ForCausalLM", "smollm3", 36, 2048, 11008, 16, 4, 128256, 65536, **SMOLLM3),
        {"turned": (0, 0, 0, -1) * 9, "windows": (0,) * 36, "tied": True},
    ),
    "Qwen3-4B-2507": (
        qwen3(36, 2560, 9728, 32, 8, 151936, 262144, max_window_layers=36, tie_word_embeddings=True),
        {"head_norms": True, "windows": (0,) * 36, "rope_theta": 5e6},
    ),
    "Qwen3-30B-A3B": (
        qwen3(48, 2048, 6144, 32, 4, 151936, 40960, architectures=["Qwen3MoeForCausalLM"], model_type="qwen3_moe",
              max_window_layers=48, tie_word_embeddings=False, **EXPERTS),
        {"head_norms": True},
    ),
    "DeepSeek-R1-Distill-Qwen-7B": (
        config(*QWEN25, 131072, **{**WINDOW, "use_mrope": False, "rope_theta": 10000}, tie_word_embeddings=False),
        {"biases": frozenset({"q_proj", "k_proj", "v_proj"}), "rope_theta": 10000.0},
    ),
}  # fmt: skip
CHUNKS = {"chunk_size": 262144, "local_size": 8192, "original_max_position_embeddings": 262144}
REFUSED = {
    "Qwen2.5-VL with two widths": ({**VL25_7B, "text_config": {"hidden_size": 2048}}, "two 'hidden_size'"),
    "a decoder alone with a nested one": (config(*QWEN25, 131072, **WINDOW, text_config={}), "'text_config'"),
    "Qwen2.5-7B-1M": (config(*QWEN25, 1010000, **WINDOW, dual_chunk_attention_config=CHUNKS), "dual_chunk_attention"),
    "EmbeddingGemma": (gemma3(24, 768, 1152, 3, 1, 262144, 2048, use_bidirectional_attention=True), "bidirectional"),
    "Llama-3.3 in AWQ": (
        config("LlamaForCausalLM", "llama", 80, 8192, 28672, 64, 8, 128256, 131072,
               quantization_config={"quant_method": "awq", "bits": 4}),
        "quantization_config",
    ),
    "Granite under Llama's name": (
        config("LlamaForCausalLM", "llama", 40, 4096, 12800, 32, 8, 49159, 131072, logits_scaling=16.0), "logits_scal"
    ),
}  # fmt: skip
NEW = """
    Qwen3NextForCausalLM Gemma3nForConditionalGeneration Gemma3ForConditionalGeneration Glm4MoeForCausalLM
    GptOssForCausalLM Olmo3ForCausalLM Mistral3ForConditionalGeneration Ernie4_5ForCausalLM HunYuanDenseV1ForCausalLM
    MiniCPMForCausalLM Llama4ForConditionalGeneration DeepseekV3ForCausalLM GraniteForCausalLM FalconH1ForCausalLM
    Qwen3VLForConditionalGeneration Cohere2ForCausalLM SeedOssForCausalLM ApertusForCausalLM
"""


@pytest.mark.parametrize("name", READ)
def test_what_is_known_is_read_as_its_authors_mean_it(name):
    says, expected = READ[name]
    found = llm.families.from_hugging_face(says)
    assert {field: getattr(found, field) for field in expected} == expected


@pytest.mark.parametrize(("architecture", "says", "window"), [(VL2, TOWER2, 0), (VL25, TOWER25, 4)])
def test_the_towers_of_public_models_are_read(architecture, says, window):
    found = vision_config(architecture, says)
    assert (found.depth, found.width, found.size, found.window) == (32, 1280, 80, window)
    assert found.inner == (3420 if window else 5120) and found.hidden == (3584 if window else 1536)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_new_in_a_known_architecture_is_refused_by_its_name(name):
    says, named = REFUSED[name]
    with pytest.raises(llm.ModelError, match=re.escape(named)):
        llm.families.from_hugging_face(says)


@pytest.mark.parametrize("architecture", NEW.split())
def test_a_new_architecture_is_refused_by_its_name(architecture):
    with pytest.raises(llm.ModelError, match=f"architecture '{architecture}' is unknown here"):
        llm.families.from_hugging_face(config(architecture, "new", 2, 64, 64, 4, 4, 96, 64))
