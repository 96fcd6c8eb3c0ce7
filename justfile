# `just` alone prints the manual. It needs just 1.27 or newer, bash, and the programs that a recipe calls.

# A recipe has its arguments as "$@", and its parameters and all these variables in its environment.
set positional-arguments
set export

# Variables that can be set before a recipe's name, as in `just ENGINE=podman images`:

# the variant that `just image` builds
VARIANT := "baseline"
# the images' name without its tag (environment: APPINFO_REPOSITORY)
REPOSITORY := env("APPINFO_REPOSITORY", "localhost/appinfo")
# docker or podman (environment: ENGINE); by default docker where its daemon answers, else podman
ENGINE := env("ENGINE", "")
# the image's architecture, amd64 or arm64; by default this machine's
ARCH := if arch() == "x86_64" { "amd64" } else if arch() == "aarch64" { "arm64" } else { arch() }

# The program's variants, each in an image of its own with this tag.
variants := "1:baseline 2:broken 3:namespace"
images := prepend(REPOSITORY + ":", replace_regex(variants, ":[a-z]+", ""))
version := shell("sed -n 's/^version = \"\\(.*\\)\"/\\1/p' Cargo.toml")
description := shell("sed -n 's/^description = \"\\(.*\\)\"/\\1/p' Cargo.toml")
# The address of the repository's page, without a password, if the git remote has one.
page := shell('''
    git remote get-url origin 2>/dev/null | sed -nE -e 's#/$##' -e 's#\.git$##' \
        -e 's#^(https?://)([^/]*@)?#\1#p' \
        -e 's#^ssh://([^/]*@)?([^/:]+)(:[0-9]+)?/#https://\2/#p' \
        -e 's#^[^/:]+@([^/:]+):/?#https://\1/#p'
''')
# Registries that need no TLS: those on this machine, as docker has it.
insecure := '^(localhost([:/]|$)|127\.|\[::1\])'

# Calls another recipe with the same variables; the engine is in the environment.
just := quote(just_executable()) + " REPOSITORY=" + quote(REPOSITORY) + " ARCH=" + quote(ARCH)

[private]
manual:
    @{{ quote(just_executable()) }} --list --unsorted
    @echo
    @echo "These can be set before a recipe's name: VARIANT=$VARIANT REPOSITORY=$REPOSITORY ENGINE=podman ARCH=$ARCH"
    @echo "The variants, each behind its image's tag: $variants"

# Start the program here: `just run`, `just run --variant broken`
[group("develop")]
run *arguments:
    cargo run --locked -- "$@"

# Run all tests, or some: `just test --test program`
[group("develop")]
test *arguments:
    cargo test --locked "$@"

# Check the formatting, and the code with clippy
[group("develop")]
lint:
    cargo fmt --check
    cargo clippy --all-targets --locked -- -D warnings

# Measure speed and memory beside other servers
[group("develop")]
bench *arguments:
    cargo bench --locked "$@"

# Remove target/, the images, and what was fetched to compile in a container
[group("develop")]
clean:
    #!/usr/bin/env -S bash -euo pipefail
    rm -rf target
    engine=$({{ just }} engine 2>/dev/null) || exit 0 # without an engine there is nothing else
    "$engine" image rm $images 2>/dev/null || true # some may not be there
    "$engine" volume ls --quiet --filter name=appinfo-rust- | xargs -r "$engine" volume rm

# Build the static binary, in target/image with the other contents of the image
[group("image"), no-exit-message]
build:
    #!/usr/bin/env -S bash -euo pipefail
    case $ARCH in
        amd64) target=x86_64-unknown-linux-musl ;;
        arm64) target=aarch64-unknown-linux-musl ;;
        *) echo "just build: ARCH is \"$ARCH\", but it can be amd64 or arm64 only." >&2; exit 1 ;;
    esac
    compile() {
        # No path of this machine in the binary: it is the same everywhere, and smaller.
        cargo build --release --locked --target "$1" --target-dir "$2" \
            --config "target.$1.rustflags=['--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=']"
    }
    root=target/image/$ARCH
    rm -rf "$root"
    mkdir -p "$root/etc"
    if command -v cargo >/dev/null; then
        compile $target target
        cp target/$target/release/appinfo "$root/appinfo"
    else
        engine=$({{ just }} engine)
        rust=$(sed -n 's/^channel = "\(.*\)".*/\1/p' rust-toolchain.toml)
        image=docker.io/library/rust:$rust-slim
        echo "just build: there is no cargo here (https://rustup.rs), so $engine compiles, in $image" >&2
        # Through pipes instead of a mounted folder: so it works with remote engines and any user ID.
        # The volume keeps what rustup and cargo fetch and compile.
        tar -c --exclude ./target --exclude ./.git . |
            "$engine" run --rm --interactive --workdir /appinfo --volume "appinfo-rust-$rust:/usr/local" \
                "$image" bash -ec "$(declare -f compile)"'
                    tar -x
                    compile "$0" "$CARGO_HOME/target" >&2
                    cat "$CARGO_HOME/target/$0/release/appinfo"' $target >"$root/appinfo"
    fi
    # The labels' volume is mounted at /etc/podinfo: manifests/appinfo.yaml says why.
    ln -s podinfo/labels "$root/etc/labels"
    # A layer contains modes and times too: fixed ones, so that the same binary gives the same layer.
    chmod 755 "$root" "$root/etc" "$root/appinfo"
    TZ=UTC touch -h -t 197001010000.00 "$root/appinfo" "$root/etc/labels" "$root/etc" "$root"

# Build one image: `just image`, `just image broken`, `just image VARIANT=namespace`
[group("image"), no-exit-message]
image variant=VARIANT:
    #!/usr/bin/env -S bash -euo pipefail
    variant=${variant#VARIANT=}
    [[ " $variants " =~ \ ([0-9]+):"$variant"\  ]] || {
        echo "just image: there is no variant \"$variant\": it can be one of ${variants//[0-9]:/}." >&2
        exit 1
    }
    image=$REPOSITORY:${BASH_REMATCH[1]}
    engine=$({{ just }} engine)
    {{ just }} build
    {{ just }} containerfile "$variant" "$engine" build --quiet --tag "$image" \
        --platform "linux/$ARCH" --build-arg "TARGETARCH=$ARCH" >/dev/null
    echo "$image is $variant for linux/$ARCH, in $engine"

# Build the images of all variants, with the tags 1, 2 and so on
[group("image"), no-exit-message]
images:
    @for variant in $variants; do {{ just }} image "${variant#*:}" || exit; done

# Build the images for amd64 and arm64 and push them as REGISTRY/appinfo:1 and so on
[group("image"), no-exit-message]
push registry:
    #!/usr/bin/env -S bash -euo pipefail
    # podman first, since docker can do so only with buildx.
    engine=$({{ just }} engine podman docker)
    [ "$engine" = podman ] || docker buildx version >/dev/null 2>&1 || {
        echo "just push: images for two architectures need podman, or docker with buildx, which is not here." >&2
        exit 1
    }
    for arch in amd64 arm64; do {{ just }} ARCH=$arch build; done
    for variant in $variants; do
        image=${registry%/}/appinfo:${variant%:*}
        if [ "$engine" = podman ]; then
            {{ just }} index "${variant#*:}" "docker://$image" {{ if registry =~ insecure { "false" } else { "true" } }}
        else
            {{ just }} metadata --annotation=index: | xargs -0 {{ just }} containerfile "${variant#*:}" \
                docker buildx build --push --platform linux/amd64,linux/arm64 --tag "$image"
        fi
        echo "$image is ${variant#*:} for linux/amd64 and linux/arm64"
    done
    printf '%s\n' "" "To point the manifests there (the old files stay as *.old):" "" \
        "sed -i.old 's|image: .*/appinfo:|image: ${registry%/}/appinfo:|' manifests/*.yaml manifests/canary/*.yaml"

# Build the images and load them into the cluster of kubectl's current context, or of CONTEXT
[group("cluster"), no-exit-message]
load context="":
    #!/usr/bin/env -S bash -euo pipefail
    context=${context:-$(kubectl config current-context || true)}
    refuse() { echo "just load: the cluster of kubectl's context \"$context\" $*" >&2; exit 1; }
    # An archive, because the loaders find docker's images by name, but not podman's.
    archive=target/images.tar
    read -r kind name <<<"$({{ just }} cluster "$context")"
    case $kind in
        kind) load="kind load image-archive $archive --name $name" ;;
        k3d) load="k3d image import $archive --cluster $name" ;;
        minikube) load="minikube --profile $name image load $archive" ;;
        docker) ENGINE=docker load=true ;; # it has docker's images already
        k3s) load="refuse needs this on each node, with a copy of $archive: sudo k3s ctr images import images.tar" ;;
        microk8s) load="refuse needs this on each node, with a copy of $archive: microk8s ctr image import images.tar" ;;
        *)
            refuse "is none of kind, minikube, k3d, k3s, MicroK8s, Docker Desktop, OrbStack, Rancher Desktop" \
                "and Colima: name another context (just load CONTEXT), or push the images to a registry that" \
                "its nodes can reach (just push REGISTRY) and point the manifests there."
            ;;
    esac
    engine=$({{ just }} engine)
    {{ just }} images
    # Without that flag podman takes the second and the third name for more tags of the first.
    flags=$([ "$engine" = docker ] || echo --quiet --multi-image-archive)
    "$engine" save $flags --output "$archive" $images
    $load
    echo "The cluster of \"$context\" has $images."

# Run the tutorial on the cluster of CONTEXT, in a namespace of its own
[group("cluster"), no-exit-message]
e2e context:
    {{ just }} load "$context" || echo "just e2e: going on with the images that the nodes have."
    APPINFO_KUBE_CONTEXT=$context cargo test --locked --test cluster -- --nocapture \
        the_tutorial_runs_on_the_cluster_that_is_named

# Build the files of a release, in target/dist, with cargo-cyclonedx: `just dist`, `just dist registry.example.com/owner`
[group("release"), no-exit-message]
dist registry="":
    @.ci/dist {{ quote(just_executable()) }} "${registry:-${REPOSITORY%/*}}" "$version" "$page"

# Push a release's images, with podman, skopeo and jq, as REGISTRY/appinfo:VERSION-baseline and so on, which never change, and as appinfo:1 and so on
[group("release"), no-exit-message]
release registry:
    #!/usr/bin/env -S bash -euo pipefail
    repository=${registry%/}/appinfo
    tls={{ if registry =~ insecure { "false" } else { "true" } }}
    annotations=$({{ just }} metadata | tr '\0' '\n' |
        jq --raw-input --null-input '[inputs | capture("(?<key>[^=]*)=(?<value>.*)")] | from_entries')
    rm -rf target/indexes target/digests
    mkdir -p target/indexes target/digests # the digests are for the attestations
    for arch in amd64 arm64; do {{ just }} ARCH=$arch build; done
    # All checks come before the first push.
    for variant in $variants; do
        name=${variant#*:}
        index=target/indexes/$name
        {{ just }} index "$name" "dir:$index.plain"
        # The registry gets this copy as it is, so that its digest is known before the push.
        skopeo copy --quiet --all --dest-compress "dir:$index.plain" "dir:$index"
        # Here, since GitHub's podman is of version 4, which cannot annotate an index.
        jq --compact-output --argjson annotations "$annotations" '.annotations = $annotations' \
            "$index/manifest.json" >"$index.json"
        mv "$index.json" "$index/manifest.json"
        digest=$(skopeo manifest-digest "$index/manifest.json")
        echo "$digest" >"target/digests/$name"
        pushed=$(skopeo inspect --raw --tls-verify="$tls" "docker://$repository:$version-$name" 2>/dev/null |
            skopeo manifest-digest /dev/stdin) || continue # there is no such tag yet
        # The same digest is of a release that broke half-way.
        if [ "$pushed" != "$digest" ]; then
            echo "just release: $repository:$version-$name is another image already, and a version's images" \
                "stay as they are: release a new version." >&2
            exit 1
        fi
    done
    for variant in $variants; do
        name=${variant#*:}
        for tag in "$version-$name" "${variant%:*}"; do
            skopeo copy --quiet --all --preserve-digests --dest-tls-verify="$tls" \
                "dir:target/indexes/$name" "docker://$repository:$tag"
            echo "$repository:$tag is $name for linux/amd64 and linux/arm64"
        done
    done

# Print the CHANGELOG's section about a release, if the tag is the version's: `just notes v1.2.3`
[group("release"), no-exit-message]
notes tag:
    #!/usr/bin/env -S bash -euo pipefail
    if [ "$tag" != "v$version" ]; then
        echo "just notes: the tag is \"$tag\", but the version in Cargo.toml asks for \"v$version\"." >&2
        exit 1
    fi
    if ! awk '/^## / {on = $2 == ENVIRON["version"]; next} on && (n || NF) {n = 1; print} END {exit !n}' \
        CHANGELOG.md; then
        echo "just notes: CHANGELOG.md needs a section \"## $version – DATE\" that says what is new, and has none." >&2
        exit 1
    fi

# Prints which cluster a context belongs to, and its name. The nodes know best; else the context's name tells.
[private]
cluster context:
    #!/usr/bin/env -S bash -euo pipefail
    # Empty where one may not read nodes.
    node=$(kubectl get nodes --context "$context" --request-timeout 5s \
        --output 'jsonpath={.items[0].spec.providerID} {.items[0].metadata.labels}' 2>/dev/null || true)
    # The first four use docker's images: Docker Desktop with kind too, Rancher Desktop if it runs dockerd.
    sed -nE <<<"$context $node" \
        -e 's#^(docker-desktop|orbstack|rancher-desktop|colima(-[^ ]*)?) .*#docker#p;t' \
        -e 's#.* kind://[^/]*/([^/]*)/.*#kind \1#p;t' \
        -e 's#.* k3s://k3d-(.*)-[a-z]+-[0-9]+ .*#k3d \1#p;t' \
        -e 's#.* k3s://.*#k3s#p;t' \
        -e 's#.*"minikube.k8s.io/name":"([^"]*).*#minikube \1#p;t' \
        -e 's#.*"microk8s.io/cluster":.*#microk8s#p;t' \
        -e 's#^(kind|k3d)-([^ ]*) .*#\1 \2#p;t' \
        -e 's#^minikube .*#minikube minikube#p;t' \
        -e 's#.*#unknown#p'

# Prints the first of these container engines that answers; with ENGINE set, that one if it answers.
[private, no-exit-message]
engine *engines="docker podman":
    #!/usr/bin/env -S bash -euo pipefail
    for engine in $engines; do
        # On some systems the command docker is podman.
        if [ "${ENGINE:-$engine}" = "$engine" ] && "$engine" ps --quiet >/dev/null 2>&1 &&
            "$engine" --version | grep -qi "^$engine"; then
            echo "$engine"
            exit
        fi
    done
    echo "just: needs docker with its daemon running, or podman, and ${ENGINE:-neither} does not answer." >&2
    exit 1

# Runs a build command of docker or podman with the arguments and labels that all of them need.
[private, no-exit-message]
containerfile variant +command:
    #!/usr/bin/env -S bash -euo pipefail
    case $2 in
        # Without attestations an image is one manifest, which every cluster can load. The date goes
        # into the image's configuration (BuildKit only).
        docker) export BUILDX_NO_DEFAULT_ATTESTATIONS=1 SOURCE_DATE_EPOCH=0 ;;
        # With layers, podman 4 takes a step from its cache although its build argument has changed.
        podman) set -- "$@" --layers=false --timestamp 0 ;;
    esac
    {{ just }} metadata --label= | xargs -0 "${@:2}" target/image --file Containerfile --build-arg "VARIANT=$variant"

# Builds a variant's images for both architectures with podman, and pushes their index to a destination.
[private, no-exit-message]
index variant destination tls="true":
    #!/usr/bin/env -S bash -euo pipefail
    index=localhost/appinfo-index
    podman manifest rm "$index" >/dev/null 2>&1 || true # of a push that was interrupted
    if podman manifest create --help | grep -e --annotation >/dev/null; then # from podman 5 on
        {{ just }} metadata --annotation= | xargs -0 podman manifest create "$index" >/dev/null
    fi
    for arch in amd64 arm64; do
        {{ just }} containerfile "$variant" podman build --quiet --manifest "$index" --tag "$index-$arch" \
            --platform "linux/$arch" >/dev/null
    done
    podman manifest push --quiet --all --format oci --tls-verify="$tls" "$index" "$destination"
    podman manifest rm "$index" >/dev/null
    podman image rm "$index-"{amd64,arm64} >/dev/null

# Prints the metadata of images and indexes, each behind this prefix, as `xargs -0` reads it.
# https://github.com/opencontainers/image-spec/blob/main/annotations.md
[private]
metadata prefix="":
    @printf -- "${prefix}org.opencontainers.image.%s\0" title=appinfo licenses=MIT \
        "description=$description" "version=$version" \
        "revision=$(git describe --always --dirty --abbrev=40 --exclude '*' 2>/dev/null || echo unknown)" \
        ${page:+"source=$page" "url=$page" "documentation=$page#readme"}

# Prints the dashboard's link to the tutorial, with every field that Grafana's types require.
[private]
dashboard-link url=page:
    @echo '{"title": "Tutorial: ask the metrics", "type": "link", "icon": "doc", "tooltip": "",' \
        "\"url\": \"$url/blob/v$version/manifests/README.md#ask-the-metrics\", \"tags\": []," \
        '"asDropdown": false, "targetBlank": true, "includeVars": false, "keepTime": false}'
