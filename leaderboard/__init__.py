"""The leaderboard: tracks, entries, their verification, and the site that shows them.

Needs pydantic and jinja2: ``pip install 'gym-stepwise-routing[leaderboard]'``. The rules are in ``SUBMISSION.md``.

=================== ================================================================================================
module              what it holds
=================== ================================================================================================
``track``           what a leaderboard ranks on: bank, split, mode, cost unit, frozen normalisation and prices
``entry``           what a submission states: router, decisions, ledger, figures
``playing``         a router played on a track, at its own threshold and along a sweep
``figures``         every number of an entry, computed from the outcomes of its decisions
``loading``         from the router that an entry names to the router itself, and who must be trusted for that
``policy_files``    the policies of a track in one file of arrays
``submit``          router to entry
``verify``          entry to verdict: decisions replayed, figures recomputed, the router run again
``rerun``           does a router look at anything but its observations?
``board``           verified entries of a track, ranked, with ties
``site``            the board as static HTML and JSON
``rows``            the rows that come with the package, as data, and their regeneration
=================== ================================================================================================
"""
