"""A study file for somebody's own data: how files pair, what masks mean, which pictures show one thing, how long."""
