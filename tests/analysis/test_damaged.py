"""Which damages a test passes over: those of tables that what it tests never reads."""

from graddiag import schema
from tests.analysis.damaged import NO_NUMBER, NO_TABLE, WHOLE, damaged, damaged_where_read


def test_damages_of_tables_that_are_not_read_are_left_out_and_no_others() -> None:
    cases = []
    for case, run in damaged_where_read():
        assert len(run.steps) or case != WHOLE
        cases.append(case)
    assert cases[0] == WHOLE
    others = set(schema.TABLES) - {schema.TABLE_STEPS}
    assert set(damaged()) - set(cases) == {f"{how} {name}" for how in (NO_TABLE, NO_NUMBER) for name in others}
    assert len(cases) == len(set(cases))


def test_the_whole_run_that_notes_what_is_read_is_the_whole_run() -> None:
    _, noting = next(damaged_where_read())
    for name in schema.TABLES:
        assert noting.read(name).equals(damaged()[WHOLE].read(name))
