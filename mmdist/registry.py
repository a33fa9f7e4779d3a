"""mmdist's nodes in OpenMMLab's registry tree, all under the scope ``mmdist``.

Their parent is the root of the tree and not MMRazor's node: a node below
MMRazor's is not found from a config whose ``default_scope`` is mmdet or mmseg.
Modules register themselves when a node is first asked for something
(``locations``), so ``import mmdist`` imports no task library.
"""

from mmengine.registry import HOOKS as ROOT_HOOKS
from mmengine.registry import LOOPS as ROOT_LOOPS
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import TASK_UTILS as ROOT_TASK_UTILS
from mmengine.registry import Registry

MODELS = Registry("model", parent=ROOT_MODELS, scope="mmdist", locations=["mmdist.models"])
TASK_UTILS = Registry("task util", parent=ROOT_TASK_UTILS, scope="mmdist", locations=["mmdist.models"])
HOOKS = Registry("hook", parent=ROOT_HOOKS, scope="mmdist", locations=["mmdist.engine.hooks"])
LOOPS = Registry("loop", parent=ROOT_LOOPS, scope="mmdist", locations=["mmdist.engine.loops"])


__all__ = ["HOOKS", "LOOPS", "MODELS", "TASK_UTILS"]
