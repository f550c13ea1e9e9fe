"""What are the customers of the benchmark of search called? A few names are common, most are made of three parts."""

from __future__ import annotations

__all__ = ["NAMES"]

_GIVEN = """
mary john anna james emma david sofia daniel laura thomas julia peter sarah martin clara paul eva robert lena
michael nina lucas zoe william ida oliver alma noah elsa hugo maja leo ella oscar alice victor ebba axel agnes karl
signe erik astrid nils ines jonas marta felix rosa simon vera anton greta emil olga henrik paula ivan tessa omar
leila yusuf amina chen mei hiroshi yuki raj priya arjun fatima kofi ama pedro lucia marco giulia pierre chloe sven
freya tomas petra jan katja milan hana dmitri irina callum niamh rhys bronwyn euan isla
"""
_COMMON = """
smith jones taylor brown williams wilson johnson davies patel robinson wright thompson evans walker white roberts
green hall thomas clarke jackson wood harris edwards turner martin cooper hill ward hughes moore clark king harrison
lewis baker lee allen morris khan scott watson davis parker james bennett young phillips richardson mitchell bailey
carter cook singh shaw bell collins morgan kelly begum miller cox hussain marshall simpson price anderson adams
wilkinson foster ellis murphy chapman mason gray richards webb rogers gibson hunt mills holmes palmer matthews
fisher barnes knight lloyd butler russell barker stevens
"""
_FIRST = """
lind berg sand holm ek gran sjo nor wester oster hal ber kar mar fer gon ros mor val san kow nov kra sobo wis zel
bauer fisch schnei wag ing hart brun stein gold ash black wood hawk fair green white red long
"""
_SECOND = """
q st er in al o a an en ov ol br gr str h m t l r ed el et ap ib uk om und ist olt arn elm orn usk imb ach eck ier
aud oll ann ebb itz osk urg amp ent ill eph ush yl
"""
_THIRD = """
vist rom man sen son strom gren lund dahl berg well ton ley ski wicz ova enko ez es ini elli ford worth field more
by
"""
_HOSTS = "example.com mail.example.org post.example.net web.example.de inbox.example.se"
NAMES = {
    "given": _GIVEN.split(),
    "common": _COMMON.split(),
    "first": _FIRST.split(),
    "second": _SECOND.split(),
    "third": _THIRD.split(),
    "hosts": _HOSTS.split(),
}
"""Given names, common family names, the three parts of others, and hosts of addresses; what comes first is common."""
