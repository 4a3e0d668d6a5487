"""A study's results for people, from its ledger: tables, sentences, pages."""
