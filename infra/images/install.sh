#!/bin/sh
# The build stage of every image, in two steps so that a change of the code does not reinstall dependencies:
#   install.sh dependencies EXTRA...   what the package and these extras need, into /opt/energy-demand, from the
#                                      pinned files, each file checked against its hash; without the tests of
#                                      pandas, SciPy and Arrow, a tenth of all
#   install.sh package                 the package itself
# The build tools are in /opt/build and do not enter the image.
set -eu

# --link-mode: uv's cache is a mount, and links cannot leave it.
install_into() {
  folder=$1
  shift
  /opt/build/bin/uv pip install --quiet --link-mode copy --python "$folder/bin/python" "$@"
}
pinned="--require-hashes --constraints requirements.txt --requirements pyproject.toml"

step=$1
shift
case $step in
dependencies)
  extras=
  for extra in "$@"; do extras="$extras --extra $extra"; done
  python3 -m venv /opt/build
  /opt/build/bin/pip install --quiet --no-cache-dir --require-hashes --requirement requirements-uv.txt
  python3 -m venv --without-pip /opt/energy-demand
  # shellcheck disable=SC2086  # several words on purpose
  install_into /opt/energy-demand $pinned $extras
  # These three by name: elsewhere a folder `tests` can be part of the library (Evidently has one).
  for library in pandas scipy pyarrow; do
    find /opt/energy-demand/lib/python3*/site-packages/$library -type d -name tests -prune -exec rm -rf {} +
  done
  # shellcheck disable=SC2086
  install_into /opt/build $pinned --extra build
  ;;
package)
  /opt/build/bin/python -m hatchling build -t wheel -d /opt/build/wheels > /dev/null
  install_into /opt/energy-demand --no-deps /opt/build/wheels/*.whl
  ;;
*)
  echo "install.sh: dependencies or package, not $step" >&2
  exit 2
  ;;
esac
