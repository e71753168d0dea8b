"""BibTeX of the recommenders that a page shows."""

from bench.report.run.references import bibtex, papers


def test_each_recommender_has_its_papers_and_whoever_has_none_is_named():
    text = bibtex(["sasrec", "p5", "sasrec", "popularity"])
    assert text.count("@misc{kang2018sasrec,") == 1
    assert "@misc{geng2022p5," in text
    assert "@misc{xu2023openp5," in text
    assert (
        "  title = {{Recommendation as Language Processing (RLP): A Unified Pretrain, Personalized Prompt \\& Predict"
        in text
    )
    assert text.endswith("% popularity: no paper is known to us\n")
    assert "tiger" not in text


def test_a_name_cannot_leave_its_comment():
    assert bibtex(["a\n@misc{b}"]) == "% a @misc{b}: no paper is known to us\n"


def test_keys_differ_and_braces_are_closed():
    found = papers()
    assert len({paper.key for paper in found}) == len(found)
    assert all(paper.bibtex.count("{") == paper.bibtex.count("}") for paper in found)
