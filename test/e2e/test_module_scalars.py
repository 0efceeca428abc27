"""Reductions of scalars along a dimension: a row of one, in the export's light retracing and in PyTorch's own."""

import pith
import torch


class Reductions(torch.nn.Module):
    def forward(self, x):
        s = self.total(x)
        largest, place = s.max(0)
        logs = s.log_softmax(-1) + torch.logsumexp(s, 0)
        spread = s.std(0, correction=0) + s.var(0, correction=0)
        return s.softmax(0), logs, s.amax(0), s.amin(-1), largest, place, s.argmax(), s.argmin(0), spread, s.prod(0)

    def total(self, x):
        return x.sum()


class AfterCosines(Reductions):
    def total(self, x):
        return torch.nn.functional.cosine_similarity(x, x * 2 + 1).sum()  # its decomposition writes in place


def test_every_reduction_of_a_scalar():
    for module in (Reductions(), AfterCosines()):
        x = torch.linspace(-1, 2, 12).reshape(3, 4)
        results = pith.compile(module, (x,))(x)
        for result, reference in zip(results, module(x), strict=True):
            torch.testing.assert_close(torch.as_tensor(result), reference)
