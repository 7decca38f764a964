"""Where the distortions and their parameters come from."""

SUPPLEMENT = "RankIQA supplement, section 3"
AUTHORS = "RankIQA's published code"
TID_2013 = "TID2013 (Ponomarenko et al. 2013)"
# The five levels of TID2013 have about these PSNRs, in dB.
TID_2013_PSNR = (33.0, 30.0, 27.0, 24.0, 21.0)
