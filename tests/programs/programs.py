"""Training programs as people write them (unchanged/), and what each certificate has to say.

Each is in the manner of a tutorial, takes seconds, and knows nothing of samebits. Few seed
themselves. PLANTED are the same with one line replaced, on which their bits then depend.
"""

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent / "unchanged"
_NEWEST, _KERAS_2, _ALL = ("tf2.21",), ("tf2.21", "tf2.8"), ("tf2.21", "tf2.8", "tf2.1")


@dataclass(frozen=True)
class Program:
    """One program, and what its record has to say.

    ``calls``: the outermost calls of models, in order, those on batches of one kind once.
    ``optimizers``: the classes of those that took a step. ``steps``: of all of them; None where it
    depends on how the training goes. ``untraced``: what no optimizer of Keras updated; None: also
    weights that were loaded.
    """

    words: str
    calls: tuple[str, ...] = ()
    optimizers: tuple[str, ...] = ()
    steps: int | None = None
    models: int | None = 1  # None where a part without weights may count
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = _NEWEST
    untraced: tuple[str, ...] | None = ()
    downloads: tuple[str, ...] = ()
    verdict: str = "REPRODUCIBLE"
    pins: tuple[str, ...] = ()  # that the program itself changes
    determinism: str = "portable"  # float16 has no kernels in oneDNN under AVX2

    @property
    def name(self) -> str:
        """A word for a test or a folder."""
        words = [word for word in self.words.split() if word != "-m"]
        return words[0].rpartition(".")[0].replace("/", "-").replace(".", "-")

    @property
    def source(self) -> Path:
        """The file that is started."""
        words = self.words.split()
        module = words[0] == "-m"
        return HERE / (f"{words[1].replace('.', '/')}.py" if module else words[0])


@dataclass(frozen=True)
class Planted:
    """A program with a planted dependence: ``old``, once in the file, replaced by ``new``.

    ``culprits``: exactly what the certificate names; none: it must say "not repeatable".
    """

    program: Program
    what: str
    old: str
    new: str
    culprits: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    repeatable: bool | None = True

    @property
    def file(self) -> str:
        """The name of the variant's file."""
        return f"planted_{self.program.source.name}"

    def text(self) -> str:
        """The source of the variant. Raises ValueError when the line is not there once."""
        text = self.program.source.read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.program.words}: expected {self.old!r} once")
        return text.replace(self.old, self.new)


_FIT, _BOTH, _ANSWERS = ("fit",), ("fit", "evaluate"), ("fit", "predict")
_ADAM, _SGD, _RMSPROP = ("Adam",), ("SGD",), ("RMSprop",)
_MNIST = ("mnist.npz",)
_DIGITS, _HOUSING, _IMDB = ("digits.npz",), ("housing.npz",), ("imdb.npz",)
_OUT = ("architecture.json", "confusion.csv", "history.csv", "model.h5", "model.weights.h5")

PROGRAMS = (
    Program("mnist_convnet.py", _BOTH, _ADAM, 22, downloads=_MNIST, frameworks=_ALL),
    Program("mnist_mlp.py", _BOTH, _RMSPROP, 72, downloads=_MNIST, frameworks=_ALL),
    Program("vae.py", _ANSWERS, _ADAM, 16, models=3, downloads=_MNIST, frameworks=_KERAS_2),
    Program(
        "gan_train_step.py", _FIT, ("Adam", "Adam"), 52, models=3, inputs=_DIGITS,
        frameworks=_KERAS_2,
    ),
    Program(
        "dcgan_loop.py", (), ("Adam", "Adam"), 52, models=2, inputs=_DIGITS, frameworks=_ALL,
        outputs=("generated/image_at_epoch_0001.npy", "generated/image_at_epoch_0002.npy"),
    ),
    Program("transformer_text.py", _FIT, _ADAM, 12, models=2, inputs=_IMDB, frameworks=_KERAS_2),
    Program("text_from_scratch.py", _BOTH, _ADAM, 14, inputs=("aclImdb",)),
    Program("siamese.py", _BOTH, _RMSPROP, 150, models=2, downloads=_MNIST, frameworks=_KERAS_2),
    Program("structured_data.py", _ANSWERS, _ADAM, 30, inputs=("heart.csv",)),
    Program(
        "image_folder.py", _ANSWERS, _ADAM, 12, models=None, inputs=("photos",),
        outputs=("classifier.weights.h5",), frameworks=_KERAS_2,
    ),
    Program(
        "timeseries_classification.py", _BOTH, _ADAM, 16, models=2, inputs=("FordA_TRAIN.tsv",),
        outputs=("best_model.h5",), frameworks=_ALL, untraced=None,
    ),
    Program(
        "weather_lstm.py", _ANSWERS, _ADAM, 26, inputs=("weather.csv",),
        outputs=("model_checkpoint.weights.h5",), frameworks=_KERAS_2,
    ),
    Program(
        "time_windows.py", ("fit", "evaluate", "evaluate") * 3, _ADAM * 3, 162, models=3,
        inputs=("weather.csv",), frameworks=_KERAS_2,
    ),
    Program(
        "fraud.py", _ANSWERS, _ADAM, 20, inputs=("transactions.csv",), outputs=("flagged.csv",),
        frameworks=_ALL,
    ),
    Program(
        "denoising_autoencoder.py", _ANSWERS * 2, _ADAM, 30, downloads=_MNIST,
        outputs=("denoised.npz",), frameworks=_ALL,
    ),
    Program("distillation.py", _BOTH * 3, _ADAM * 3, 64, models=4, downloads=_MNIST),
    Program("bilstm_imdb.py", _FIT, _ADAM, 12, inputs=_IMDB, frameworks=_KERAS_2),
    Program("regression_metrics.py", _ANSWERS, _SGD, 50, inputs=_HOUSING, frameworks=_ALL),
    Program("tape_loop.py", (), _SGD, 44, outputs=("losses.csv",), frameworks=_ALL),
    Program("overfit_underfit.py", _FIT * 3, _ADAM * 3, models=3, frameworks=_ALL),
    Program("tickets.py", _ANSWERS, _RMSPROP, 16, frameworks=_KERAS_2),
    Program("custom_loop_guide.py", (), _ADAM, 30, inputs=_DIGITS, frameworks=_ALL),
    Program("actor_critic.py", (), _ADAM, 6, frameworks=_KERAS_2),
    Program(
        "housing_kfold.py", _BOTH * 4, _RMSPROP * 4, 144, models=4, inputs=_HOUSING,
        outputs=("mae_history.npy",), frameworks=_ALL,
    ),
    Program(
        "mixed_precision.py", (*_BOTH, *_ANSWERS), ("LossScaleOptimizer",), 29, downloads=_MNIST,
        pins=("dtype policy",), determinism="eigen", frameworks=_KERAS_2,
    ),
    Program(
        "compiled_steps.py", (*_FIT, *_BOTH, *_BOTH), ("AdamW", "AdamW", "SGD"), 192, models=3
    ),
    Program(
        "checkpoints.py", (*_BOTH, "evaluate"), _ADAM, models=2, inputs=_DIGITS,
        outputs=("best.weights.h5", "training.log", "training_2/cp-0001.weights.h5"),
        frameworks=_ALL, untraced=None,
    ),
    Program(
        "arguments.py --epochs 2 --width 16", _BOTH, _ADAM, 40, inputs=_DIGITS,
        outputs=("metrics.json",), frameworks=_ALL,
    ),
    Program(
        "-m spirals.train --epochs 2", ("train_on_batch", "test_on_batch", "predict_on_batch"),
        _ADAM, 32, frameworks=_ALL,
    ),
    Program("sine_waves.ipynb", (*_FIT, *_BOTH, "predict"), _ADAM * 2, 80,
        outputs=("predicted.npy",), frameworks=_KERAS_2,
    ),
    Program(
        "seeds_itself.py", _FIT * 2, _ADAM * 2, 60, models=2, inputs=_DIGITS,
        outputs=("histories.json",),
    ),
    Program(
        "guarded_pool.py", _ANSWERS, ("Nadam",), 40, inputs=("photos",), frameworks=_KERAS_2
    ),
    Program("guarded_spawn.py", _FIT, ("Lion",), 51, outputs=("pendulum.keras",)),
    Program(
        "writes_files.py", (*_BOTH, "predict"), _SGD, 48, inputs=_DIGITS, frameworks=_ALL,
        outputs=tuple(f"out/{name}" for name in (*_OUT, "probabilities.npy", "result.json")),
    ),
    Program("exits.py", _BOTH, ("Adagrad",), 36, frameworks=_KERAS_2),
    Program(
        "fuel_get_file.py", (*_BOTH, *_BOTH, "predict"), _ADAM * 2, 60, models=2,
        downloads=("cars.csv",), frameworks=_KERAS_2,
    ),
    Program("sgd_by_hand.py", steps=0, models=0, untraced=("Variable", "Variable"),
        verdict="INCONCLUSIVE",
        frameworks=_ALL,
    ),
    Program(
        "compat_v1.py", steps=0, models=0, inputs=_HOUSING, outputs=("network.npz",),
        untraced=("W1", "W2", "b1", "b2"), verdict="INCONCLUSIVE", frameworks=_ALL,
    ),
    Program("generators.py", _BOTH, ("Adamax",), 60, inputs=_DIGITS, frameworks=_ALL),
    Program(
        "iris/train.py", _BOTH, ("Adadelta",), 60, inputs=("iris/data",),
        outputs=("results/scores.txt", "results/weights.npz"), frameworks=_ALL,
    ),
)  # fmt: skip
# The published experiment, as printed, by its two recipes.
ARTICLE = (
    Program(
        "article_tf28.py", _FIT * 2, _ADAM * 2, 9000, models=2, downloads=_MNIST,
        frameworks=_KERAS_2,
    ),
    Program(
        "article_tf21.py", _FIT * 2, _ADAM * 2, 9000, models=2, downloads=_MNIST,
        frameworks=("tf2.1",),
    ),
)  # fmt: skip
_NAMED = {program.name: program for program in PROGRAMS}

PLANTED = (
    Planted(
        _NAMED["tape_loop"], "a seed from the clock",
        "rng = np.random.RandomState(0)",
        "import time\nrng = np.random.RandomState(time.time_ns() % 2**32)",
        repeatable=False,
    ),
    Planted(
        _NAMED["guarded_pool"], "files in the order of their folder",
        'for file in sorted(os.listdir(os.path.join(FOLDER, name))):',
        'for file in os.listdir(os.path.join(FOLDER, name)):',
        culprits=("order of directory entries",), needs=("disorderfs",),
    ),
    Planted(
        _NAMED["fuel_get_file"], "the order of a set of texts",
        "origins = sorted({row[-1] for row in rows})",
        "origins = list({row[-1] for row in rows})",
        culprits=("hash seed",), overrides=("determinism.hash_seed=null",),
    ),
    Planted(
        _NAMED["fraud"], "as many parts as the machine has CPUs",
        "mean = np.mean(train_features, axis=0)",
        "import os\nparts = np.array_split(train_features, os.cpu_count())\n"
        "mean = sum(part.sum(axis=0) for part in parts) / len(train_features)",
        culprits=("number of CPUs",),
    ),
    Planted(
        _NAMED["exits"], "memory that was never written",
        "    tokens = np.random.randint(1, vocabulary, (count, length))",
        "    tokens = np.stack([np.empty(1500, np.uint8)[:length] for _ in range(count)])\n"
        "    tokens = tokens.astype(int) % (vocabulary - 1) + 1",
        repeatable=False,
    ),
    Planted(
        _NAMED["denoising_autoencoder"], "threads that share NumPy's generator",
        "noisy_train_data = noise(train_data)",
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(4) as pool:\n"
        "    parts = list(pool.map(noise, np.array_split(train_data, 4)))\n"
        "noisy_train_data = np.concatenate(parts)",
        culprits=("timing of Python threads",),
        repeatable=None,
    ),
    Planted(
        _NAMED["regression_metrics"], "what an earlier run left in /tmp",
        "order = np.random.permutation(len(x))",
        'import os\nif not os.path.exists("/tmp/samebits-housing-order.npy"):\n'
        '    order = np.random.permutation(len(x))\n'
        '    np.save("/tmp/samebits-housing-order.npy", order)\n'
        'else:\n'
        '    order = np.load("/tmp/samebits-housing-order.npy")[::-1]',
        culprits=("what an earlier run left in /tmp/samebits-housing-order.npy",),
        repeatable=None,
    ),
    Planted(
        _NAMED["structured_data"], "the order of objects in a set",
        "np.random.shuffle(rows)",
        "class Patient:\n    def __init__(self, row):\n        self.row = row\n\n\n"
        "rows = [patient.row for patient in {Patient(row) for row in rows}]",
        repeatable=False,
    ),
)  # fmt: skip
