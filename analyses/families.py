"""The claims that are analysed, in the order of the site: by their names. A new claim adds one entry."""

from analyses.balloon import FAMILY as BALLOON
from analyses.buenaventura import FAMILY as BUENAVENTURA
from analyses.coca_promise import FAMILY as COCA_PROMISE
from analyses.crackdowns import FAMILY as CRACKDOWNS
from analyses.dialogue import FAMILY as DIALOGUE
from analyses.ecuador_conflict import FAMILY as ECUADOR_CONFLICT
from analyses.family import Family
from analyses.farc_coca import FAMILY as FARC_COCA
from analyses.gun_ban import FAMILY as GUN_BAN
from analyses.kingpins_family import FAMILY as KINGPINS
from analyses.medellin_extradition import FAMILY as MEDELLIN_EXTRADITION
from analyses.medellin_pact import FAMILY as MEDELLIN_PACT
from analyses.policing_meta import FAMILY as POLICING_META
from analyses.quadrants import FAMILY as QUADRANTS
from analyses.raids import FAMILY as RAIDS
from analyses.salvador_exception import FAMILY as SALVADOR_EXCEPTION
from analyses.salvador_truce import FAMILY as SALVADOR_TRUCE
from analyses.sao_paulo import FAMILY as SAO_PAULO
from analyses.truces import FAMILY as TRUCES
from analyses.upp_control import FAMILY as UPP_CONTROL
from analyses.upp_family import FAMILY as UPP

FAMILIES: tuple[Family, ...] = tuple(
    sorted(
        (
            BALLOON, BUENAVENTURA, COCA_PROMISE, CRACKDOWNS, DIALOGUE, ECUADOR_CONFLICT, FARC_COCA, GUN_BAN, KINGPINS,
            MEDELLIN_EXTRADITION, MEDELLIN_PACT, POLICING_META, QUADRANTS, RAIDS, SALVADOR_EXCEPTION, SALVADOR_TRUCE,
            SAO_PAULO, TRUCES, UPP, UPP_CONTROL,
        ),
        key=lambda family: family.claim,
    )
)  # fmt: skip
