"""What ./inv starts."""

from forge.cli import main

main()
