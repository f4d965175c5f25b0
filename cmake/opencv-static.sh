#!/usr/bin/env bash
# Builds a small static OpenCV (core, imgproc, imgcodecs with JPEG and PNG) from the distribution's source package.
#
# usage: cmake/opencv-static.sh PREFIX [JOBS]      e.g. cmake/opencv-static.sh build/opencv-static
#
# The distribution's shared libopencv_imgcodecs needs over a hundred further libraries. Linked against this prefix, a
# program carries its own OpenCV (about 4 MB) and needs only libjpeg, libpng and libz besides, which preset `gpu` copies
# beside it (their static forms can't go into a shared library). The preset expects the prefix in build/opencv-static.
# Takes about 5 minutes on two cores; does nothing where PREFIX holds a finished build.
set -euo pipefail

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; }
case "${1:-}" in
  -h|--help) usage; exit 0 ;;
  ""|-*) usage >&2; exit 2 ;;
esac
prefix=$(realpath -m "$1")
jobs=${2:-$(nproc)}
if [ -f "$prefix/lib/cmake/opencv4/OpenCVConfig.cmake" ]; then
  echo "opencv-static: already built: $prefix"
  exit 0
fi

work=$(mktemp -d)
step=start
finish() {  # show the end of a step's output only where it failed
  local status=$?
  if [ "$status" != 0 ]; then
    echo "opencv-static: failed: $step" >&2
    [ ! -f "$work/log" ] || tail -n 40 "$work/log" >&2
  fi
  rm -rf "$work"
}
trap finish EXIT

quietly() { step=$1; "$@" >"$work/log" 2>&1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# apt's own settings, pointed at the source packages of the places that the machine's binary packages come from.
apt_source_options() {
  mkdir -p "$work/apt/parts" "$work/apt/lists/partial"
  : >"$work/apt/sources.list"
  if [ -f /etc/apt/sources.list ]; then
    sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >"$work/apt/sources.list"
  fi
  local file
  for file in /etc/apt/sources.list.d/*.list; do
    [ ! -f "$file" ] || sed -n 's/^deb /deb-src /p' "$file" >>"$work/apt/sources.list"
  done
  for file in /etc/apt/sources.list.d/*.sources; do
    [ ! -f "$file" ] || sed 's/^Types:.*/Types: deb-src/' "$file" >"$work/apt/parts/${file##*/}"
  done
  apt_options=(-o "Dir::Etc::sourcelist=$work/apt/sources.list" -o "Dir::Etc::sourceparts=$work/apt/parts"
               -o "Dir::State::Lists=$work/apt/lists")
}

fetch_source() {
  mkdir "$work/source"
  apt-get "${apt_options[@]}" update
  (cd "$work" && apt-get "${apt_options[@]}" source --download-only opencv)
  tar -xf "$work"/opencv_*.orig.tar.xz -C "$work/source" --strip-components=1
}

configure() {
  local libraries without switches
  libraries=/usr/lib/$(gcc -print-multiarch)
  without=(GDAL GDCM OPENEXR TIFF WEBP OPENJPEG JASPER LAPACK TBB OPENMP OPENCL OPENGL VA VA_INTEL IPP ITT EIGEN PROTOBUF
           QUIRC FFMPEG GSTREAMER V4L GTK ADE IMGCODEC_HDR IMGCODEC_SUNRASTER IMGCODEC_PXM IMGCODEC_PFM)
  switches=("${without[@]/#/-DWITH_}")
  cmake -S "$work/source" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_INSTALL_PREFIX="$work/prefix" -DCMAKE_INSTALL_LIBDIR=lib \
    -DBUILD_LIST=core,imgproc,imgcodecs -DBUILD_SHARED_LIBS=OFF -DENABLE_PIC=ON \
    -DBUILD_TESTS=OFF -DBUILD_PERF_TESTS=OFF -DBUILD_EXAMPLES=OFF -DBUILD_opencv_apps=OFF -DBUILD_JAVA=OFF \
    -DBUILD_opencv_python3=OFF -DWITH_JPEG=ON -DWITH_PNG=ON -DJPEG_LIBRARY="$libraries/libjpeg.so" \
    -DPNG_LIBRARY="$libraries/libpng.so" -DZLIB_LIBRARY="$libraries/libz.so" "${switches[@]/%/=OFF}"
}

quietly as_root apt-get install -y --no-install-recommends \
  cmake ninja-build g++ dpkg-dev libjpeg-dev libpng-dev zlib1g-dev
apt_source_options
echo "opencv-static: fetching the source package"
quietly fetch_source
echo "opencv-static: building with $jobs jobs, about 10 core-minutes"
quietly configure
quietly ninja -C "$work/build" -j "$jobs" install
# The installed package finds its own folder, so the finished tree can be moved into place in one step.
mkdir -p "$(dirname "$prefix")"
rm -rf "$prefix"
mv "$work/prefix" "$prefix"
echo "opencv-static: built: $prefix"
