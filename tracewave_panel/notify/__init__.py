"""Tells people of anomalies: routes, notices, and an outbox that outlives the process.

:class:`~tracewave_panel.notify.notifier.Notifier` is the sink;
:class:`~tracewave_panel.notify.routes.RouteSettings` one ``[[notify]]`` table of the settings.
"""
