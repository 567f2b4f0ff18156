"""Models of transformers that are made here, of random weights: there is no hub in a test."""

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertTokenizerFast,
    GPT2Config,
    GPT2LMHeadModel,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world", "good", "bad", "day", ".")
_SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}


def tokenizer(folder):
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    return BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=32)


def classifier(labels=("negative", "positive")):
    torch.manual_seed(0)
    named = {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
    return BertForSequenceClassification(BertConfig(vocab_size=len(WORDS), **_SIZES, **named)).eval()


def tagger():
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(WORDS), **_SIZES, id2label={0: "B-DAY", 1: "B-WORD"})
    return BertForTokenClassification(config).eval()


def writer():
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(WORDS), n_embd=16, n_layer=2, n_head=2, n_positions=64, bos_token_id=2, eos_token_id=3
    )
    return GPT2LMHeadModel(config).eval()


def image_classifier():
    torch.manual_seed(0)
    config = ViTConfig(image_size=32, patch_size=16, id2label={0: "cat", 1: "dog"}, **_SIZES)
    return ViTForImageClassification(config).eval(), ViTImageProcessor(size={"height": 32, "width": 32})
