"""Uses the live page in a real Chromium while a search runs, as a person would.

usage: live_page.py [--build FOLDER] [--pictures FOLDER]

`retort serve` waits for a search, shows it, stops it, resumes it, is ended and started anew meanwhile, and shows the end:
everything by keyboard, without reloading the page. axe-core must find nothing in light and dark (contrast and labels among
it), and the page's console must stay empty. With --pictures the page is left there as pictures of several sizes.
"""

import argparse

import _browser
from _small_search import workplace


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--pictures", default="")
    arguments, _ = parser.parse_known_args()
    with workplace(__doc__) as (program, work):
        _browser.run("live_page.mjs", program, work, arguments.pictures)


main()
