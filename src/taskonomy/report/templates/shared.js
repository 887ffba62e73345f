"use strict";
// What every script of the page shares: its data, names and colours.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const titleOf = (name) => data.tasks[name].title;
// A source as written is a task, or a variant of one: by way of another task, or fine-tuned.
const plain = (written) => data.variants[written]?.source ?? written;
const howOf = (written) => data.variants[written]?.title ?? titleOf(written);
// Of a source that others trained: its licence, and what its encoder costs; nothing for tasks.
const asItIs = (name) => data.tasks[name].asItIs ?? null;
const colourOf = (name) => data.colours[data.tasks[name].family];
const number = (value, digits = 2) => (value === null || value === undefined ? "n/a" : value.toFixed(digits));
const marks = (name) => data.marks[data.tasks[name].family];
