#!/bin/sh
# kube-apiserver and kube-controller-manager from Debian's source package, for the tests that want a real cluster:
#   sh tests/kubernetes/build.sh [FOLDER]      as root on Debian 12; 20 minutes and 6 GB once, 210 MB stay
# The tests look in HOMEWORK_KUBERNETES, else in ~/.cache/paddlehomework/kubernetes, which is FOLDER's default too.
set -eu
target=${1:-${HOMEWORK_KUBERNETES:-$HOME/.cache/paddlehomework/kubernetes}}
mkdir -p "$target"
target=$(readlink -f "$target")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

sources=/etc/apt/sources.list.d/debian.sources
if [ -f $sources ]; then
    sed 's/^Types: deb$/Types: deb-src/' $sources >/etc/apt/sources.list.d/homework-source.sources
else
    sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >/etc/apt/sources.list.d/homework-source.list
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends golang-go dpkg-dev etcd-server
apt-get source -qq --download-only kubernetes
version=$(echo kubernetes_*.orig.tar.* | sed 's/.*really\([0-9.]*\)\.orig.*/\1/; s/^kubernetes_\([0-9.]*\)\.orig.*/\1/')
tree=$work/gopath/src/k8s.io/kubernetes
mkdir -p "$tree"
tar xf kubernetes_*.orig.tar.* -C "$tree" --strip-components=1
cd "$tree"
export GOPATH="$work/gopath" GOCACHE="$work/cache" GO111MODULE=off CGO_ENABLED=0 GOFLAGS=-p=1

# The package lacks what its own build generates first: the API's description.
go build -o "$work/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
marked=$(grep -rl '+k8s:openapi-gen' --include=*.go . | grep -v _test | xargs -n1 dirname |
    sed 's#^\./vendor/##; s#^\./staging/src/##; s#^\./#k8s.io/kubernetes/#' | sort -u | paste -sd,)
mkdir -p pkg/generated/openapi
"$work/openapi-gen" -i "$marked" -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi \
    -h hack/boilerplate/boilerplate.generatego.txt -r "$work/violations" || [ -s pkg/generated/openapi/zz_generated.openapi.go ]

package=k8s.io/component-base/version
major=${version%%.*}
minor=${version#*.}
flags="-s -w -X $package.gitMajor=$major -X $package.gitMinor=${minor%%.*} -X $package.gitVersion=v$version"
for program in kube-apiserver kube-controller-manager; do
    go build -ldflags "$flags" -o "$work/$program" "./cmd/$program"
    mv "$work/$program" "$target/"
done
ls -l "$target"
