"""mmdist's nodes in OpenMMLab's registry tree, all under the scope ``mmdist``.

Their parent is the root of the tree and not MMRazor's node: a node below
MMRazor's is not found from a config whose ``default_scope`` is mmdet or mmseg.
Modules register themselves when a node is first asked for something
(``locations``), so ``import mmdist`` imports no task library.
"""

from mmengine.registry import DATA_SAMPLERS as ROOT_DATA_SAMPLERS
from mmengine.registry import DATASETS as ROOT_DATASETS
from mmengine.registry import HOOKS as ROOT_HOOKS
from mmengine.registry import LOOPS as ROOT_LOOPS
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import TASK_UTILS as ROOT_TASK_UTILS
from mmengine.registry import Registry

MODELS = Registry("model", parent=ROOT_MODELS, scope="mmdist", locations=["mmdist.models"])
TASK_UTILS = Registry("task util", parent=ROOT_TASK_UTILS, scope="mmdist", locations=["mmdist.models"])
DATASETS = Registry("dataset", parent=ROOT_DATASETS, scope="mmdist", locations=["mmdist.datasets"])
DATA_SAMPLERS = Registry("data sampler", parent=ROOT_DATA_SAMPLERS, scope="mmdist", locations=["mmdist.datasets"])
HOOKS = Registry("hook", parent=ROOT_HOOKS, scope="mmdist", locations=["mmdist.engine.hooks"])
LOOPS = Registry("loop", parent=ROOT_LOOPS, scope="mmdist", locations=["mmdist.engine.loops"])


__all__ = ["DATASETS", "DATA_SAMPLERS", "HOOKS", "LOOPS", "MODELS", "TASK_UTILS"]
