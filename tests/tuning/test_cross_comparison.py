"""Comparisons across data sources."""

from rankloop.tuning.cross_comparison import _folder_name


def test_sources_have_folders_of_their_own_with_names_that_fit():
    names = ["csv:a/b", "csv:a-b", "csv:a/b?higher_is_better=true", "csv:" + 300 * "x", "clive:é"]
    folders = [_folder_name(name) for name in names]
    assert len(set(folders)) == len(names)
    assert all(len(folder) < 80 and "/" not in folder for folder in folders)
    assert folders[0].startswith("csv-a-b-")
    assert folders == [_folder_name(name) for name in names]
