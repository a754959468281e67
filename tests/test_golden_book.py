"""The book's convolutional networks on real MNIST, in both readings of dropout: float64 by PyTorch, to 1e-6."""

from __future__ import annotations

import pytest

import streameval as se

# File, dropout, split, mean of -log(y + 1e-7), mean of -log(y), rows that are right.
GOLDEN = [
    ("simple_convnet_params-2016", None, "t10k", 0.05221977738769335, 0.052346131834745645, 9_890),
    ("simple_convnet_params-2022", None, "t10k", 0.13250559740295448, 0.1325062647500766, 9_600),
    ("deep_convnet_params-2016", "book", "t10k", 0.08225729456121764, 0.08225740823028437, 9_935),
    ("deep_convnet_params-2016", "identity", "t10k", 0.02608630178607408, 0.026099762371685858, 9_938),
    ("deep_convnet_params-2022", "book", "t10k", 0.08971595937211953, 0.0897160933023976, 9_797),
    ("deep_convnet_params-2022", "identity", "t10k", 0.09785146632586925, 0.10111760430530138, 9_796),
    ("simple_convnet_params-2016", None, "train", 0.004427139089758347, 0.004427242698834134, 59_905),
    ("simple_convnet_params-2022", None, "train", 0.1375484421811995, 0.1375680524128728, 57_543),
    ("deep_convnet_params-2016", "book", "train", 0.07260483328336294, 0.07260494323528723, 59_900),
    ("deep_convnet_params-2016", "identity", "train", 0.006084615523587469, 0.006088013612504543, 59_900),
    ("deep_convnet_params-2022", "book", "train", 0.10276787606824064, 0.10276805442054258, 58_592),
    ("deep_convnet_params-2022", "identity", "train", 0.1258734709479259, 0.13077200016104634, 58_590),
]
CASES = [
    pytest.param(
        *one, id=f"{one[0]}-{one[1]}-{one[2]}", marks=[pytest.mark.slow] if one[2] == "train" else []
    )
    for one in GOLDEN
]


@pytest.mark.parametrize(("name", "dropout", "split", "loss", "exact", "correct"), CASES)
def test_the_books_networks_give_the_golden_numbers(mnist_dir, name, dropout, split, loss, exact, correct):
    path = mnist_dir / "book" / f"{name}.pkl"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    model = se.load_model(path, dropout=dropout)
    train, test = se.load_mnist(normalize=False, flatten=False, root=mnist_dir)
    rows = train if split == "train" else test

    found, log_softmax = se.evaluate(model, rows), se.evaluate(model, rows, loss=se.CrossEntropy(eps=0))

    assert found.loss == pytest.approx(loss, abs=1e-6)
    assert log_softmax.loss == pytest.approx(exact, abs=1e-6)
    assert found.correct == correct
