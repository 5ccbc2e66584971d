"""Torch's transformer modules in a form whose operations can be followed."""

__all__ = ["TRANSFORMERS", "followed"]

from typing import Any

from torch import Tensor, nn


class _Encoder(nn.TransformerEncoder):
    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        causal = False if is_causal is None else is_causal
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, causal)

        return src if self.norm is None else self.norm(src)


class _EncoderLayer(nn.TransformerEncoderLayer):
    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: Any = False,
    ) -> Tensor:
        x, masks = src, (src_mask, src_key_padding_mask, is_causal)
        if self.norm_first:
            x = x + self._sa_block(self.norm1(x), *masks)
            return x + self._ff_block(self.norm2(x))

        x = self.norm1(x + self._sa_block(x, *masks))
        return self.norm2(x + self._ff_block(x))


class _Decoder(nn.TransformerDecoder):
    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        causal = False if tgt_is_causal is None else tgt_is_causal
        for layer in self.layers:
            tgt = layer(tgt, memory, *masks, causal, memory_is_causal)

        return tgt if self.norm is None else self.norm(tgt)


class _DecoderLayer(nn.TransformerDecoderLayer):
    """Torch's own: it does not ask for values or shapes."""


class _Transformer(nn.Transformer):
    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        return self.decoder(tgt, memory, *masks, tgt_is_causal, memory_is_causal)


TRANSFORMERS: dict[type[nn.Module], type[nn.Module]] = {
    nn.TransformerEncoder: _Encoder,
    nn.TransformerEncoderLayer: _EncoderLayer,
    nn.TransformerDecoder: _Decoder,
    nn.TransformerDecoderLayer: _DecoderLayer,
    nn.Transformer: _Transformer,
}


def followed(root: nn.Module) -> None:
    """Gives torch's transformer modules a forward method without branches, in place.

    Torch's own asks for shapes and for the values of masks, to take a fused kernel where that
    gives the same numbers; and it hides layers whose forward method a user wrote. A subclass is
    changed, too, unless it has a forward method of its own.

    Args:
        root: a network in evaluation mode.
    """
    for module in root.modules():
        for known, plain in TRANSFORMERS.items():
            kind = type(module)
            if isinstance(module, known) and kind.forward is known.forward:
                body = {"forward": plain.forward, "__module__": __name__}
                module.__class__ = type(kind.__name__, (kind,), body)
