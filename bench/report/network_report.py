#!/usr/bin/python3
"""Turns what ccomp-bench-network wrote at each rate into NAME.json, NAME.csv and NAME.html, and prints the tables."""

import sys

sys.dont_write_bytecode = True  # the sources may lie where nothing should be written

import network as networks  # noqa: E402
from checked import WrongInput  # noqa: E402
from report import Parser, fail, write  # noqa: E402


def main():
    parser = Parser(prog="network_report.py", description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", help="holds <Mbit/s>-default.json, <Mbit/s>-ring.json and facts.json")
    parser.add_argument("name", metavar="NAME", help="of the three files, without an ending")
    wanted = parser.parse_args()
    try:
        document = networks.merge(wanted.folder)
        write(f"{wanted.name}.json", networks.dump(document))
        measured = networks.load(f"{wanted.name}.json")
    except WrongInput as error:
        fail(error)
    except (KeyError, TypeError, AttributeError):
        fail(f"'{wanted.folder}' holds files that ccomp-bench-network did not write.")
    import network_text

    write(f"{wanted.name}.csv", network_text.spreadsheet(measured))
    try:
        import network_page
    except ImportError as error:
        fail(f"{error.name or 'a module'} is missing; install matplotlib (Debian: python3-matplotlib).")
    write(f"{wanted.name}.html", network_page.build(measured))
    # Last: whoever reads the tables may stop before their end.
    try:
        print(network_text.tables(measured), flush=True)
    except OSError:
        sys.stdout = None  # or Python would try to write the rest when it ends
        fail("the tables cannot be written to standard output.")


if __name__ == "__main__":
    main()
