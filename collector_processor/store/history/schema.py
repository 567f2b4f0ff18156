"""The tables of the history.

Each is read in the order of (subject, start), so that a month of one model lies together. What a page does not need
lies in another table: a heat map of 200 columns is 400 bytes a window, and the line of it 100.
"""

from __future__ import annotations

from typing import Final

SCHEMA: Final = """
CREATE TABLE subject (
    id INTEGER PRIMARY KEY, model TEXT NOT NULL, version TEXT NOT NULL, segment TEXT NOT NULL,
    UNIQUE (model, version, segment));
CREATE TABLE layout (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, content BLOB NOT NULL);
CREATE TABLE frames (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, content BLOB NOT NULL);
CREATE TABLE window (
    subject INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL, rows INTEGER NOT NULL,
    outcome TEXT NOT NULL, baseline_id TEXT NOT NULL, drifted INTEGER NOT NULL, compared INTEGER NOT NULL,
    producers TEXT NOT NULL, calls TEXT, partial INTEGER NOT NULL, revision INTEGER NOT NULL,
    written INTEGER NOT NULL, PRIMARY KEY (subject, start)) WITHOUT ROWID;
CREATE INDEX window_by_age ON window (written);
CREATE TABLE heat (
    subject INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL, layout INTEGER NOT NULL,
    magnitudes BLOB NOT NULL, flags BLOB NOT NULL, PRIMARY KEY (subject, start)) WITHOUT ROWID;
CREATE TABLE figures (
    subject INTEGER NOT NULL, part INTEGER NOT NULL, start INTEGER NOT NULL, figures BLOB NOT NULL,
    PRIMARY KEY (subject, part, start)) WITHOUT ROWID;
CREATE TABLE detail (
    subject INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL, layout INTEGER NOT NULL,
    notable INTEGER NOT NULL, frames INTEGER NOT NULL, shapes BLOB NOT NULL, results BLOB NOT NULL,
    written INTEGER NOT NULL, PRIMARY KEY (subject, start));
CREATE INDEX detail_by_age ON detail (written);
CREATE TABLE alert (
    id INTEGER PRIMARY KEY, time INTEGER NOT NULL, subject INTEGER NOT NULL, check_name TEXT NOT NULL,
    role TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, sentence TEXT NOT NULL, attributes TEXT NOT NULL,
    written INTEGER NOT NULL);
CREATE INDEX alert_by_time ON alert (time);
CREATE INDEX alert_by_subject ON alert (subject, time);
CREATE TABLE firing (
    subject INTEGER NOT NULL, check_name TEXT NOT NULL, role TEXT NOT NULL, name TEXT NOT NULL,
    time INTEGER NOT NULL, sentence TEXT NOT NULL, attributes TEXT NOT NULL,
    PRIMARY KEY (subject, check_name, role, name)) WITHOUT ROWID;
"""
