"""A compiled module does not notice that a forward hook has come: what the hook records goes missing.

Reason: ``torch.compile`` looks at a module's hooks once, when it compiles (pytorch/pytorch#117758). It also follows
Python into code that does nothing for a network, such as the entering of a recorder, and there fails: it takes a tensor
whose layout was changed in place for the one that it saw before ("assert_size_stride").

Window: torch >= 2.1.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, ExitStack, nullcontext
from types import TracebackType
from typing import Any

import torch


class Untraced:
    """Enters and leaves context managers where the compiler does not look.

    Args:
        *contexts (AbstractContextManager): Entered in this order.

    Example:
        >>> with Untraced(torch.no_grad()):
        ...     torch.is_grad_enabled()
        False
    """

    def __init__(self, *contexts: Any) -> None:
        self._contexts = contexts
        self._stack = ExitStack()

    @torch.compiler.disable
    def __enter__(self) -> None:
        with ExitStack() as stack:
            for context in self._contexts:
                stack.enter_context(context)
            self._stack = stack.pop_all()

    @torch.compiler.disable
    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(exc_type, exc_value, traceback)


def guarded_hooks() -> AbstractContextManager:
    """Inside, what is compiled is compiled anew as soon as a hook is added to one of its modules."""
    dynamo = sys.modules.get("torch._dynamo")  # not there: nothing is compiled
    if dynamo is None or not hasattr(dynamo.config, "skip_nnmodule_hook_guards"):
        return nullcontext()
    return dynamo.config.patch(skip_nnmodule_hook_guards=False)
