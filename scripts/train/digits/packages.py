"""Free fonts as Debian packages them (here without the `fonts-` that all names begin with), apart by package: what the
model is tested on was never trained on.

Imports nothing, so that a bare Python can name the packages before anything is installed:

apt-get install --no-install-recommends $(python3 scripts/train/make_digits.py --packages)
"""

TRAINING = (
    "3270", "adf-ikarius", "adf-romande", "adf-universalis", "adf-verana", "allerta", "b612", "bebas-neue",
    "breip", "bwht", "cabin", "cantarell", "century-catalogue", "clear-sans", "comfortaa", "comic-neue",
    "courier-prime", "dancingscript", "dejavu-core", "dejavu-extra", "dkg-handwriting", "dosis", "dustin",
    "ebgaramond", "essays1743", "eurofurence", "fantasque-sans", "femkeklaver", "firacode", "freefont-ttf",
    "gemunu-libre", "glasstty", "gnutypewriter", "go", "hack", "humor-sans", "inconsolata", "inter",
    "ipafont-gothic", "jetbrains-mono", "junction", "jura", "karla", "lato", "league-mono", "league-spartan",
    "liberation2", "linuxlibertine", "national-park", "ocr-a", "ocr-b", "okolaks", "oldstandard", "open-sans",
    "opendin", "osifont", "oxygen", "pc", "play", "proggy", "quattrocento", "quicksand", "roadgeek",
    "roboto-slab", "roboto-unhinted", "routed-gothic", "rufscript", "sil-andika", "sil-charis", "sil-gentiumplus",
    "sjfonts", "stix", "tiresias", "tuffy", "unifont", "urw-base35", "vollkorn", "yanone-kaffeesatz",
)  # fmt: skip
CHOOSING = (
    "adf-switzera", "cmu", "klee", "mplus", "nanum", "sixtyfour", "sora",
)  # fmt: skip
"""For decisions while the model is made."""
TESTING = (
    "adf-gillius", "agave", "anonymous-pro", "arapey", "atarismall", "averia-sans-gwf", "beteckna", "creep2",
    "crosextra-caladea", "dotgothic16", "dseg", "georgewilliams", "goudybookletter", "hermit",
    "morisawa-bizud-gothic", "nanum-extra", "opendyslexic", "paratype", "prociono", "rocknroll", "smc-chilanka",
    "yusei-magic",
)  # fmt: skip
