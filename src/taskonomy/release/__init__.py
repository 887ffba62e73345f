"""Files of the released datasets: names, formats, layouts, archives."""
