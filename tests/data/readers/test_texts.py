import datasets

from hf_vanilla_transformer.data import load_texts


def test_text_files_tables_and_units(tmp_path):
    lines = ["= Title =", "one two", "", "three", "four", "", "", "five"]
    plain = tmp_path / "train.txt"
    plain.write_text("".join(line + "\n" for line in lines), encoding="utf-8")

    def texts(source, **options):
        dataset, report = load_texts(source, **options)
        assert dataset.column_names in (["text"], None)
        return [row["text"] for row in dataset], report

    found, report = texts(plain)
    assert found == [line for line in lines if line]
    assert (report.rows, report.skipped) == (8, 3)
    assert texts(plain, streaming=True)[0] == found
    assert texts(tmp_path)[0] == found
    assert texts([plain, plain])[0] == found * 2
    paragraphs, report = texts(plain, sample_by="paragraph", on_bad_row="error")
    assert paragraphs == ["= Title =\none two", "three\nfour", "five"] and report.rows == 3
    assert texts(plain, sample_by="document")[0] == ["\n".join(lines)]

    table = datasets.Dataset.from_dict({"text": found, "review": list(reversed(found)), "label": range(len(found))})
    assert texts(table)[0] == found
    assert texts(table, column="review")[0] == list(reversed(found))
    table.to_parquet(tmp_path / "table.parquet")
    table.to_json(tmp_path / "table.jsonl")
    assert texts(tmp_path / "table.parquet", column="review")[0] == list(reversed(found))
    assert texts(tmp_path / "table.jsonl")[0] == found


def test_no_real_text_is_skipped(shared_data):
    assert len(load_texts(shared_data / "wikitext2_small", split="validation")[0]) == 833
    document, _ = load_texts(shared_data / "tiny_shakespeare" / "validation.txt", sample_by="document")
    assert len(document) == 1 and len(document[0]["text"]) in (111_539, 111_540)
