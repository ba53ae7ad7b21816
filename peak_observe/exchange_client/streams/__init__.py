"""Observation of the websockets of ccxt.pro: connections, messages, silence and gaps, without changing anything."""
