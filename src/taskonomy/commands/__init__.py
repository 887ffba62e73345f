"""Groups of commands of `taskonomy ...`, each loaded with the others but importing what it uses only when it runs."""
